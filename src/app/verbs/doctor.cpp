// concerto doctor: what this machine has, what the configuration says, and whether the two fit.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "app/config.h"
#include "app/model_path.h"
#include "app/paths.h"
#include "app/sameness.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "kernels/kernels.h"
#include "store/store.h"

namespace concerto::app {
namespace {

struct Arguments {
  Overrides overrides;
  std::optional<std::string> sameness;  // a model
  int requests = 1000;
};

// One line of the report; remembers whether anything is wrong.
class Report {
 public:
  void line(std::string_view subject, std::string_view text) { write_out(fmt::format("{:<14}{}\n", subject, text)); }
  void good(std::string_view text) {
    line("", fmt::format("{}ok{}    {}", colour("\x1b[32m"), colour("\x1b[0m"), text));
  }
  void bad(std::string_view text) {
    failed_ = true;
    std::string indented(text);
    for (size_t at = 0; (at = indented.find('\n', at)) != std::string::npos; at += 21) {
      indented.insert(at + 1, std::string(20, ' '));
    }
    line("", fmt::format("{}wrong{} {}", colour("\x1b[31m"), colour("\x1b[0m"), indented));
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  static const char* colour(const char* code) { return colours_on_stdout() ? code : ""; }
  bool failed_ = false;
};

std::string instruction_sets() {
  const auto& cpu = base::cpu_features();
  std::string all;
  const auto add = [&](bool has, const char* name) {
    if (has) all += (all.empty() ? "" : " ") + std::string(name);
  };
  add(cpu.avx2, "avx2");
  add(cpu.avx_vnni, "avx-vnni");
  add(cpu.avx512, "avx512");
  add(cpu.avx512_vnni, "avx512-vnni");
  add(cpu.avx512_vbmi, "avx512-vbmi");
  add(cpu.avx512_bf16, "avx512-bf16");
  add(cpu.neon_dotprod, "neon-dotprod");
  return all.empty() ? "none that Concerto has kernels for" : all;
}

void machine(Report* report) {
  report->line("concerto", CONCERTO_VERSION);
  report->line("processor", fmt::format("{}, {} usable cores", base::cpu_name(), base::available_cores()));
  report->line("instructions", instruction_sets());
  std::string others;
  for (const char* name : {"avx512", "avx2", "neon", "generic"}) {
    if (kernels::find_table(name) != nullptr) others += (others.empty() ? "" : ", ") + std::string(name);
  }
  report->line("kernels", fmt::format("{} (this processor runs {})", kernels::best_table().name, others));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  report->line("memory", fmt::format("{}, {} free", format_bytes(page * static_cast<double>(::sysconf(_SC_PHYS_PAGES))),
                                     format_bytes(page * static_cast<double>(::sysconf(_SC_AVPHYS_PAGES)))));
}

void models(Report* report) {
  report->line("models", models_folder());
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(models_folder(), error)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    auto opened = formats::Gguf::open(file.string());
    if (opened) {
      report->good(fmt::format("{} ({})", file.filename().string(),
                               format_bytes(static_cast<double>(std::filesystem::file_size(file, error)))));
    } else {
      report->bad(opened.error().message);
    }
  }
  if (files.empty()) report->line("", "no .gguf file");
}

void tier(const TierConfig& one, Report* report) {
  const std::string head = fmt::format("tier {} ({})", one.name, kind_name(one.kind));
  if (one.kind == TierKind::kPeople) {
    report->good(head);
  } else if (one.kind == TierKind::kUpstream) {
    auto keys = read_keys(one.api_key_file, one.api_key_env.empty() ? "" : one.api_key_env.c_str());
    if (!keys) {
      report->bad(fmt::format("{}: {}", head, keys.error().message));
    } else if (keys->empty() && !one.api_key_env.empty()) {
      report->bad(fmt::format("{}: environment {}: expected a key, found it unset", head, one.api_key_env));
    } else {
      report->good(fmt::format("{}: {} at {}", head, one.model, one.base_url));
    }
  } else if (std::error_code error; !std::filesystem::exists(one.model, error)) {
    report->bad(fmt::format("{}: {}: no such file or folder; {}", head, one.model, how_to_get(one.model)));
  } else {
    report->good(fmt::format("{}: {}", head, one.model));
  }
}

void configuration(const Overrides& flags, Report* report) {
  const auto config = load_config(flags);
  if (!config) {
    report->line("configuration", "");
    report->bad(config.error().message);
    return;
  }
  report->line("configuration", config->file);
  for (const TierConfig& one : config->tiers) tier(one, report);
  for (const auto& [file, variable] : {std::pair{config->server.api_keys_file, "CONCERTO_API_KEY"},
                                       std::pair{config->server.admin_keys_file, "CONCERTO_ADMIN_KEY"}}) {
    if (file.empty()) continue;
    auto keys = read_keys(file, variable);
    if (!keys) report->bad(keys.error().message);
    if (keys && keys->empty()) report->bad(fmt::format("{}: expected at least one key, found none", file));
    if (keys && !keys->empty()) report->good(fmt::format("{} ({} keys)", file, keys->size()));
  }
  std::error_code error;
  if (!std::filesystem::exists(config->store_path, error)) {
    report->good(fmt::format("{} (will be made)", config->store_path));
    return;
  }
  auto store = store::open_sqlite({config->store_path, 1000});
  if (!store) {
    report->bad(store.error().message);
    return;
  }
  const auto open = (*store)->count_cases(store::CaseState::kOpen);
  report->good(fmt::format("{} ({} open cases)", config->store_path, open ? *open : -1));
}

int sameness(const Arguments& arguments) {
  const auto path = find_model(*arguments.sameness);
  if (!path) {
    print_error(path.error());
    return kFailure;
  }
  SamenessOptions options;
  options.model = *path;
  options.requests = arguments.requests;
  const bool terminal = colours_on_stderr();
  std::string shown;
  options.progress = [&](int done, const std::string& setting) {
    if (terminal) {
      fmt::print(stderr, "\r{} of {}: {}\x1b[K", done, arguments.requests, setting);
    } else if (setting != shown) {
      print_note(fmt::format("{} of {}: {}", done, arguments.requests, setting));
    }
    shown = setting;
  };
  const auto report = check_sameness(options);
  if (terminal) fmt::print(stderr, "\r\x1b[K");
  if (!report) {
    print_error(report.error());
    return kFailure;
  }
  std::string out;
  for (const std::string& difference : report->differences) out += difference + "\n";
  out += fmt::format(
      "{} of {} requests gave the same bytes: {} different ones, in {} settings of the engine, 1 to 8 at once, "
      "streamed "
      "and not\n",
      report->same, report->requests, report->different_prompts, report->settings);
  return write_out(out) && report->same == report->requests ? kOk : kFailure;
}

int run(const Arguments& arguments) {
  if (arguments.sameness) return sameness(arguments);
  Report report;
  machine(&report);
  models(&report);
  configuration(arguments.overrides, &report);
  return report.failed() ? kFailure : kOk;
}

}  // namespace

Verb doctor_verb() {
  const auto arguments = std::make_shared<Arguments>();
  return {"doctor", "Show what this machine has and check the configuration",
          [arguments](Flags& flags) {
            flags.text("-c,--config", &arguments->overrides.config, "FILE", "the configuration (default: as serve)")
                .text("--sameness", &arguments->sameness, "MODEL",
                      "check instead that the same request gives the same bytes here, whatever runs beside it")
                .integer("--requests", &arguments->requests, 1, 1 << 20, "with --sameness: how many to send")
                .footer("Ends with 1 when something is wrong.");
          },
          [arguments] { return run(*arguments); }};
}

}  // namespace concerto::app
