// concerto pack: writes a model's packed weights beside it, for a start in a tenth of the time.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "app/model_path.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "base/clock.h"
#include "base/thread_pool.h"
#include "engine/generation_defaults.h"
#include "model/model.h"

namespace concerto::app {
namespace {

struct Arguments {
  std::string model;
  std::string quantize;
  std::optional<int> threads;
};

int run(const Arguments& a) {
  const auto path = find_model(a.model);
  if (!path) {
    print_error(path.error());
    return kFailure;
  }
  model::LoadOptions options;
  options.sidecar = model::SidecarUse::kWrite;
  if (!a.quantize.empty()) options.quantize_to = *engine::quantize_type(a.quantize);
  const bool shows = colours_on_stderr();
  if (shows) {
    options.progress = [](double fraction) { fmt::print(stderr, "\rpacking: {:.0f} %\x1b[K", fraction * 100); };
  }
  const int64_t begin_ns = base::system_clock().now_ns();
  base::ThreadPool pool(a.threads.value_or(0));
  const auto loaded = model::Model::load(*path, pool, options);
  if (shows) fmt::print(stderr, "\r\x1b[K");
  if (!loaded) {
    print_error(loaded.error());
    return kFailure;
  }
  const double seconds = static_cast<double>(base::system_clock().now_ns() - begin_ns) * 1e-9;
  const std::string file = model::sidecar_path(*path, options.quantize_to);
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(file, ignored);
  const auto text = fmt::format("{}: {} in {:.1f} s\n", file, format_bytes(static_cast<double>(bytes)), seconds);
  return write_out(text) ? kOk : kFailure;
}

}  // namespace

Verb pack_verb() {
  const auto a = std::make_shared<Arguments>();
  return {"pack", "Write a model's packed weights beside it: it then starts at once",
          [a](Flags& flags) {
            flags.required("MODEL", &a->model, "a .gguf file, a Hugging Face folder or a model's name")
                .choice("--quantize", &a->quantize, {"q8_0", "q4_k"}, "as the tier's `quantize`, for float weights")
                .integer("-t,--threads", &a->threads, 1, 1024, "threads (default: all cores)")
                .footer(
                    "The file is used from the next start on, whenever it belongs to the model's very weights; else\n"
                    "they are packed as ever. It may be deleted at any time.");
          },
          [a] { return run(*a); }};
}

}  // namespace concerto::app
