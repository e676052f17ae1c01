// concerto bench: how fast a model runs here.
//
// Prefill: one prompt of pseudo-random tokens, computed. Decode: `streams` generations at once behind a short prompt;
// their tokens over the time from the first token to the last. Both are measured inside the engine that serves.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "app/lookup_bench.h"
#include "app/model_path.h"
#include "app/peers.h"
#include "app/terminal.h"
#include "app/tiers.h"
#include "app/verb.h"
#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "engine/engine.h"
#include "eval/bench/probes.h"
#include "kernels/kernels.h"

namespace concerto::app {
namespace {

struct Arguments {
  std::vector<std::string> models;
  std::optional<std::string> model_flag;
  int prompt = 512;
  int generate = 64;
  int streams = 1;
  int depth = 16;  // tokens before the generated ones
  int repeat = 3;
  bool no_warmup = false;
  std::optional<int> threads;
  std::optional<int> memory_mb;
  double itl_target = engine::EngineOptions{}.itl_target_ms;
  std::string isa;
  bool json = false;
  bool ceilings = false;
  bool lookup = false;
  std::optional<std::string> draft;
  PeersArguments peers;
};

// Warming up touches the weights and the threads; it needs no long prompt.
constexpr int kWarmPrompt = 512;
constexpr int kWarmTokens = 8;
constexpr int kLookupContext = 2048;

struct Series {
  std::vector<double> values;
  [[nodiscard]] double median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const size_t n = sorted.size();
    if (n == 0) return 0;
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  }
  [[nodiscard]] double low() const { return values.empty() ? 0 : *std::min_element(values.begin(), values.end()); }
  [[nodiscard]] double high() const { return values.empty() ? 0 : *std::max_element(values.begin(), values.end()); }
  [[nodiscard]] std::string json() const {
    return fmt::format(R"({{"median":{:.2f},"min":{:.2f},"max":{:.2f}}})", median(), low(), high());
  }
};

// The same tokens each time, different ones for each stream, no special ones.
std::vector<int32_t> random_prompt(const text::Tokenizer& tokenizer, int length, uint64_t seed) {
  std::vector<int32_t> ids;
  uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  while (static_cast<int>(ids.size()) < length) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(tokenizer.vocab_size()));
    if (!tokenizer.is_special(id) && !tokenizer.token_bytes(id).empty()) ids.push_back(id);
  }
  return ids;
}

// Runs some generations at once and waits for them.
struct Outcome {
  double prompt_ms = 0;  // of the last that ended
  int64_t first_ns = 0;  // of the first token of any
  int64_t last_ns = 0;   // of the last token of any
  int tokens = 0;
  std::optional<base::Error> error;
};

Outcome generate(engine::Engine& engine, int streams, int prompt, int tokens, uint64_t seed) {
  Outcome outcome;
  std::mutex mutex;
  std::condition_variable changed;
  int open = streams;
  const auto sink = [&](engine::Event&& event) {
    const std::lock_guard lock(mutex);
    const int64_t now = base::system_clock().now_ns();
    if (std::holds_alternative<engine::TokenEvent>(event)) {
      if (outcome.tokens++ == 0) outcome.first_ns = now;
      outcome.last_ns = now;
    } else if (const auto* end = std::get_if<engine::FinishEvent>(&event)) {
      outcome.prompt_ms = end->timings.prompt_ms;
      --open;
    } else if (auto* error = std::get_if<base::Error>(&event)) {
      outcome.error = std::move(*error);
      --open;
    }
    changed.notify_all();
  };
  for (int i = 0; i < streams; ++i) {
    engine::Request request;
    request.prompt = random_prompt(engine.tokenizer(), prompt, seed + static_cast<uint64_t>(i));
    request.max_tokens = tokens;
    request.sampling.temperature = 0;
    request.ignore_end = true;
    if (auto status = engine.submit(std::move(request), sink, {}); !status) {
      const std::lock_guard lock(mutex);
      outcome.error = status.error();
      --open;
    }
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return open == 0; });
  return outcome;
}

double peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

int fail_with(const base::Error& error) {
  print_error(error);
  return kFailure;
}

int print_ceilings(int threads, bool json) {
  const eval::Ceilings found = eval::probe_ceilings(threads);
  const std::string text =
      json ? fmt::format(R"({{"threads":{},"int8_macs_per_s":{:.0f},"memory_bytes_per_s":{:.0f}}})"
                         "\n",
                         threads, found.int8_macs_per_s, found.bytes_per_s)
           : fmt::format("{}, {} threads: int8 {:.0f} GMAC/s{}, memory {:.1f} GB/s\n", base::cpu_name(), threads,
                         found.int8_macs_per_s * 1e-9,
                         found.int8_macs_per_s > 0 ? "" : " (no AVX-512 VNNI: not probed)", found.bytes_per_s * 1e-9);
  return write_out(text) ? kOk : kFailure;
}

int run(const Arguments& a) {
  if (a.ceilings) return print_ceilings(a.threads.value_or(base::available_cores()), a.json);
  std::vector<std::string> models = a.models;
  if (a.model_flag) models.push_back(*a.model_flag);
  if (a.peers.folder && !models.empty()) return bench_with_peers(a.peers, models, a.threads.value_or(0), a.json);
  if (models.size() != 1) {
    print_error("bench: expected one model\nTry: concerto bench --help");
    return kUsage;
  }
  const auto path = find_model(models[0]);
  if (!path) return fail_with(path.error());
  if (!a.isa.empty() && kernels::find_table(a.isa.c_str()) == nullptr) {
    return fail_with({base::Code::kUnsupported, fmt::format("--isa: this processor can't run {}", a.isa), {}});
  }
  engine::EngineOptions options;
  options.model_path = *path;
  options.threads = a.threads.value_or(0);
  options.isa = a.isa;
  options.context = a.lookup ? kLookupContext : std::max(a.prompt + 1, a.depth + a.generate);
  options.max_running = a.streams;
  // Random prompts make models repeat themselves, which guesses would turn into speed that no real text has.
  if (a.draft && a.lookup) {
    const auto draft = find_model(*a.draft);
    if (!draft) return fail_with(draft.error());
    options.draft_path = *draft;
  }
  options.speculation = a.lookup ? engine::Speculation::kAuto : engine::Speculation::kOff;
  options.memory_bytes = static_cast<size_t>(a.memory_mb.value_or(0)) << 20;
  options.itl_target_ms = a.itl_target;
  options.prefix_cache = false;  // each run computes what it asks for
  const auto opened = engine::Engine::open(options);
  if (!opened) return fail_with(opened.error());
  engine::Engine& engine = **opened;
  if (a.lookup) return bench_lookup(engine, {.pairs = a.repeat, .json = a.json});
  const engine::EngineStats stats = engine.stats();

  Series prefill;
  Series decode;
  for (int round = a.no_warmup ? 0 : -1; round < a.repeat; ++round) {
    const bool warms_up = round < 0;  // not counted
    const auto seed = static_cast<uint64_t>(round + 2) * 1000;
    if (a.prompt > 0) {
      const Outcome outcome = generate(engine, 1, warms_up ? std::min(a.prompt, kWarmPrompt) : a.prompt, 1, seed);
      if (outcome.error) return fail_with(*outcome.error);
      if (!warms_up) prefill.values.push_back(a.prompt / (outcome.prompt_ms / 1000));
    }
    if (a.generate > 1) {
      const Outcome outcome = generate(engine, a.streams, warms_up ? std::min(a.depth, kWarmPrompt) : a.depth,
                                       warms_up ? std::min(a.generate, kWarmTokens) : a.generate, seed + 500);
      if (outcome.error) return fail_with(*outcome.error);
      // The first token of each stream comes from its prompt.
      const double seconds = static_cast<double>(outcome.last_ns - outcome.first_ns) / 1e9;
      if (!warms_up && seconds > 0) decode.values.push_back((outcome.tokens - a.streams) / seconds);
    }
  }
  const int threads = options.threads > 0 ? options.threads : base::available_cores();
  const char* table = a.isa.empty() ? kernels::best_table().name : a.isa.c_str();
  if (a.json) {
    return write_out(fmt::format(
               R"({{"model":"{}","isa":"{}","threads":{},"prompt":{},"depth":{},"generate":{},"streams":{},"repeat":{},)"
               R"("load_ms":{:.0f},"weight_bytes":{},"peak_resident_bytes":{:.0f},)"
               R"("prefill_tokens_per_s":{},"decode_tokens_per_s":{}}})"
               "\n",
               engine.model_hash(), table, threads, a.prompt, a.depth, a.generate, a.streams, a.repeat, stats.load_ms,
               stats.weight_bytes, peak_resident_bytes(), prefill.json(), decode.json()))
               ? kOk
               : kFailure;
  }
  std::string out =
      fmt::format("{} on {}, {} threads, {} kernels\n", engine.config().name, base::cpu_name(), threads, table);
  out += fmt::format("load      {:.0f} ms, weights {}, peak resident {}\n", stats.load_ms,
                     format_bytes(static_cast<double>(stats.weight_bytes)), format_bytes(peak_resident_bytes()));
  const auto row = [&](const std::string& name, const Series& series) {
    out += fmt::format("{:<28}{:>9.1f} tokens/s  (min {:.1f}, max {:.1f})\n", name, series.median(), series.low(),
                       series.high());
  };
  if (a.prompt > 0) row(fmt::format("prefill {} tokens", a.prompt), prefill);
  if (a.generate > 1) row(fmt::format("decode {} x {} tokens", a.streams, a.generate), decode);
  return write_out(out) ? kOk : kFailure;
}

}  // namespace

Verb bench_verb() {
  const auto a = std::make_shared<Arguments>();
  return {"bench", "Measure how fast a model runs here",
          [a](Flags& flags) {
            flags.rest("MODEL", &a->models, "a .gguf file, a Hugging Face folder or a model's name")
                .text("-m,--model", &a->model_flag, "MODEL", "the same as a flag")
                .integer("--prompt", &a->prompt, 0, 1 << 20, "tokens of the prompt; 0: no prefill")
                .integer("--generate", &a->generate, 0, 1 << 20, "tokens each stream generates; 0: no decode")
                .integer("--streams", &a->streams, 1, 256, "generations at once")
                .integer("--depth", &a->depth, 1, 1 << 20, "tokens before the generated ones")
                .integer("--repeat", &a->repeat, 1, 1000, "counted runs, after one that warms up")
                .flag("--no-warmup", &a->no_warmup, "count the first run too")
                .integer("-t,--threads", &a->threads, 1, 1024, "threads (default: all cores)")
                .integer("--memory", &a->memory_mb, 1, 1 << 24, "megabytes that the model may hold in all")
                .number("--itl-target", &a->itl_target, 1, 60'000,
                        "milliseconds that one stream's prompt may hold up another stream")
                .choice("--isa", &a->isa, {"generic", "avx2", "avx512", "neon"}, "force a kernel table")
                .flag("--json", &a->json, "one line of JSON")
                .flag("--lookup", &a->lookup,
                      "instead: answer prompts that repeat text, with and without guessing from it (speculation)")
                .text("--draft", &a->draft, "MODEL", "with --lookup: a small model of the same family guesses too")
                .flag("--ceilings", &a->ceilings, "only probe what the machine can do: int8 products, memory reads")
                .text("--vs-peers", &a->peers.folder, "DIR",
                      "compare with DIR/llama.cpp and DIR/ik_llama.cpp, built in build/bin; takes several models")
                .text("--shapes", &a->peers.shapes, "LIST",
                      "with --vs-peers: prefill-N, decode-N (context), streams-N, start, prefix-N, fork-N, gap-N (of "
                      "servers), quick, served, full")
                .flag("--full", &a->peers.full, "with --vs-peers: the same as --shapes full")
                .integer("--pairs", &a->peers.pairs, 1, 100, "with --vs-peers: runs of each, in turn")
                .text("--out", &a->peers.out, "DIR",
                      "with --vs-peers: write results.json and report.html there after each shape; a second run goes "
                      "on with them")
                .flag("--markdown", &a->peers.markdown, "with --vs-peers: print the tables as Markdown")
                .footer("Prints medians. On a machine that others use too, compare runs that alternate.");
          },
          [a] { return run(*a); }};
}

}  // namespace concerto::app
