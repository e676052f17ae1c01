// concerto run: talk to one model in the terminal; one prompt, a pipe, or a conversation.
#include <fmt/format.h>

#include <charconv>
#include <csignal>
#include <iostream>
#include <iterator>
#include <memory>

#include "app/conversation.h"
#include "app/model_path.h"
#include "app/terminal.h"
#include "app/verb.h"

namespace concerto::app {
namespace {

struct Arguments {
  std::string model;
  std::vector<std::string> prompt;
  std::optional<std::string> system;
  std::optional<double> temperature, top_p, min_p;
  std::optional<int> top_k, seed, max_tokens, threads, context, memory_mb;
  std::string isa;
  std::string speculation = "auto";
  std::optional<std::string> draft;
  bool verbose = false;
  bool hide_thinking = false;
};

constexpr int kInterrupted = 130;  // 128 + SIGINT, as shells expect

std::atomic<bool> stop_now{false};

void on_interrupt(int) { stop_now = true; }

constexpr const char* kHelp = R"(/clear          forget the conversation
/system TEXT    set the system message and forget the conversation
/set NAME X     temperature, top_p, top_k, min_p, seed or max_tokens
/show           what is set
/bye            leave (so does Ctrl-D)
"""             begins and ends a text of several lines
Ctrl-C          stops an answer
)";

class Terminal {
 public:
  Terminal(Conversation* conversation, const Arguments& arguments)
      : conversation_(conversation), arguments_(arguments), colours_(colours_on_stdout()) {}

  // One question, its answer streamed to stdout.
  int answer(const std::string& question) {
    stop_now = false;
    const auto end = conversation_->ask(question, stop_now, [this](const cascade::Delta& delta) { show(delta); });
    style("");
    if (!end) {
      print_error(end.error());
      return kFailure;
    }
    if (!write_out("\n")) return kFailure;
    if (arguments_.verbose) report(*end);
    return stop_now ? kInterrupted : kOk;
  }

  int converse() {
    print_note(fmt::format("{}; /? for help", conversation_->engine().config().name));
    for (;;) {
      if (!write_out(">>> ")) return kFailure;
      std::string line;
      if (!read(&line)) break;
      if (line.empty()) continue;
      if (line == "/bye" || line == "/exit" || line == "/quit") return kOk;
      if (line.front() == '/') {
        command(line);
      } else {
        answer(line);
      }
    }
    write_out("\n");
    return kOk;
  }

 private:
  // A line, or the lines between two """; false at the end of the input.
  static bool read(std::string* text) {
    if (!std::getline(std::cin, *text)) return false;
    if (!text->starts_with("\"\"\"")) return true;
    text->erase(0, 3);
    std::string line;
    while (!text->ends_with("\"\"\"")) {
      if (!write_out("... ") || !std::getline(std::cin, line)) return false;
      *text += "\n" + line;
    }
    text->resize(text->size() - 3);
    return true;
  }

  void show(const cascade::Delta& delta) {
    if (!delta.reasoning.empty() && !arguments_.hide_thinking) {
      style("\x1b[2m");
      thought_ = true;
      write_out(delta.reasoning);
    }
    if (delta.content.empty()) return;
    style("");
    if (thought_) write_out("\n");
    thought_ = false;
    // Nobody reads any more (`concerto run ... | head`): stop generating.
    if (!write_out(delta.content)) stop_now = true;
  }

  void style(const char* code) {
    if (!colours_ || style_ == code) return;
    write_out(*code == '\0' ? "\x1b[0m" : code);
    style_ = code;
  }

  static void report(const cascade::End& end) {
    const auto rate = [](int tokens, double ms) { return ms > 0 ? tokens / ms * 1000 : 0.0; };
    print_note(fmt::format(
        "prompt {} tokens ({} cached) in {:.0f} ms ({:.1f} tokens/s), answer {} tokens in {:.0f} ms "
        "({:.1f} tokens/s){}",
        end.usage.prompt_tokens, end.usage.cached_tokens, end.prompt_ms,
        rate(end.usage.prompt_tokens - end.usage.cached_tokens, end.prompt_ms), end.usage.completion_tokens,
        end.generate_ms, rate(end.usage.completion_tokens, end.generate_ms),
        end.drafted_tokens > 0 ? fmt::format(", {} of {} guesses right", end.accepted_tokens, end.drafted_tokens)
                               : ""));
  }

  void command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/?" || name == "/help") {
      write_out(kHelp);
    } else if (name == "/clear") {
      conversation_->clear();
    } else if (name == "/system") {
      conversation_->clear();
      conversation_->set_system(rest);
    } else if (name == "/set") {
      set(rest);
    } else if (name == "/show") {
      show_settings();
    } else {
      print_error(fmt::format("unknown command {}; /? lists them", name));
    }
  }

  template <class T>
  static bool parse(std::string_view text, T low, T high, std::optional<T>* out) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= low && value <= high)) return false;
    *out = value;
    return true;
  }

  void set(const std::string& words) {
    const size_t space = words.find(' ');
    const std::string name = words.substr(0, space);
    const std::string value = space == std::string::npos ? "" : words.substr(space + 1);
    cascade::ChatRequest& to = conversation_->settings();
    bool good = false;
    if (name == "temperature") good = parse(value, 0.0F, 2.0F, &to.temperature);
    if (name == "top_p") good = parse(value, 0.0F, 1.0F, &to.top_p);
    if (name == "min_p") good = parse(value, 0.0F, 1.0F, &to.min_p);
    if (name == "top_k") good = parse(value, 0, 1 << 20, &to.top_k);
    if (name == "max_tokens") good = parse(value, 1, 1 << 20, &to.max_tokens);
    if (name == "seed") good = parse<uint64_t>(value, 0, UINT64_MAX, &to.seed);
    if (!good) {
      print_error(
          fmt::format("/set: expected temperature, top_p, min_p, top_k, max_tokens or seed and a number in its "
                      "range, found '{}'",
                      words));
    }
  }

  void show_settings() {
    const cascade::ChatRequest& from = conversation_->settings();
    const auto line = [](const char* name, const auto& value) {
      write_out(value ? fmt::format("{:<12}{}\n", name, *value) : fmt::format("{:<12}(the model's default)\n", name));
    };
    line("temperature", from.temperature);
    line("top_p", from.top_p);
    line("min_p", from.min_p);
    line("top_k", from.top_k);
    line("max_tokens", from.max_tokens);
    line("seed", from.seed);
    write_out(fmt::format("{:<12}{}\n", "messages", from.messages.size()));
  }

  Conversation* conversation_;
  const Arguments& arguments_;
  bool colours_;
  std::string_view style_;
  bool thought_ = false;
};

std::string whole_prompt(const Arguments& arguments) {
  std::string prompt = fmt::format("{}", fmt::join(arguments.prompt, " "));
  if (stdin_is_terminal()) return prompt;
  std::cin >> std::noskipws;
  const std::string piped{std::istream_iterator<char>(std::cin), {}};
  if (!piped.empty()) prompt += (prompt.empty() ? "" : "\n\n") + piped;
  return prompt;
}

int run(const Arguments& a) {
  const auto path = find_model(a.model);
  if (!path) {
    print_error(path.error());
    return kFailure;
  }
  const bool once = !a.prompt.empty() || !stdin_is_terminal();
  const std::string prompt = once ? whole_prompt(a) : "";
  if (once && prompt.empty()) {
    print_error("run: expected a prompt as argument or on standard input, found none");
    return kUsage;
  }
  engine::EngineOptions options;
  options.model_path = *path;
  options.threads = a.threads.value_or(0);
  options.context = a.context.value_or(0);
  options.isa = a.isa;
  options.speculation = *engine::speculation_named(a.speculation);
  if (a.draft) {
    const auto draft = find_model(*a.draft);
    if (!draft) {
      print_error(draft.error());
      return kFailure;
    }
    options.draft_path = *draft;
  }
  options.max_running = 1;
  options.memory_bytes = static_cast<size_t>(a.memory_mb.value_or(0)) << 20;
  const bool shows = !once && colours_on_stderr();
  if (shows) {
    options.progress = [](double fraction) { fmt::print(stderr, "\rloading {:.0f}%\x1b[K", fraction * 100); };
  }
  auto opened = Conversation::open(options);
  if (shows) fmt::print(stderr, "\r\x1b[K");
  if (!opened) {
    print_error(opened.error());
    return kFailure;
  }
  cascade::ChatRequest& settings = (*opened)->settings();
  if (a.temperature) settings.temperature = static_cast<float>(*a.temperature);
  if (a.top_p) settings.top_p = static_cast<float>(*a.top_p);
  if (a.min_p) settings.min_p = static_cast<float>(*a.min_p);
  settings.top_k = a.top_k;
  settings.max_tokens = a.max_tokens;
  if (a.seed) settings.seed = static_cast<uint64_t>(*a.seed);
  if (a.system) (*opened)->set_system(*a.system);

  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, on_interrupt);
  Terminal terminal(opened->get(), a);
  return once ? terminal.answer(prompt) : terminal.converse();
}

}  // namespace

Verb run_verb() {
  const auto a = std::make_shared<Arguments>();
  return {"run", "Talk to one model in the terminal",
          [a](Flags& flags) {
            flags.required("MODEL", &a->model, "a .gguf file, a Hugging Face folder, a model's name or a local tier")
                .rest("PROMPT", &a->prompt, "one question; without it a conversation. What is piped in is appended")
                .text("--system", &a->system, "TEXT", "the system message")
                .number("--temperature", &a->temperature, 0, 2, "0: always the likeliest token")
                .number("--top-p", &a->top_p, 0, 1, "sample from the likeliest tokens of this much probability")
                .number("--min-p", &a->min_p, 0, 1, "leave out tokens less likely than this share of the likeliest")
                .integer("--top-k", &a->top_k, 0, 1 << 20, "sample from this many likeliest tokens; 0: all")
                .integer("--seed", &a->seed, 0, INT32_MAX, "the same seed gives the same answer")
                .integer("--max-tokens", &a->max_tokens, 1, 1 << 20, "end the answer after so many")
                .integer("-t,--threads", &a->threads, 1, 1024, "threads (default: all cores)")
                .integer("--context", &a->context, 1, 1 << 20, "tokens the conversation may hold")
                .integer("--memory", &a->memory_mb, 1, 1 << 24, "megabytes that the model may hold in all")
                .choice("--isa", &a->isa, {"generic", "avx2", "avx512", "neon"}, "force a kernel table")
                .text("--draft", &a->draft, "MODEL", "a small model of the same family that guesses for a big one")
                .choice("--speculation", &a->speculation, {"off", "lookup", "auto"},
                        "where guesses of the next tokens come from; changes the speed, never the answer")
                .flag("--verbose", &a->verbose, "print tokens and times after each answer")
                .flag("--hide-thinking", &a->hide_thinking, "do not print what the model thinks before it answers")
                .footer(
                    "  concerto run qwen2.5-coder-0.5b-instruct-q4_k_m '用三句话介绍SQLite'\n"
                    "  cat error.log | concerto run big 'What went wrong here?'");
          },
          [a] { return run(*a); }};
}

}  // namespace concerto::app
