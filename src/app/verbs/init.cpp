// concerto init: a first configuration and an admin key. Never overwrites.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "app/default_config.h"
#include "app/paths.h"
#include "app/terminal.h"
#include "app/verb.h"

namespace concerto::app {
namespace {

struct Arguments {
  std::optional<std::string> output;
  bool tiny = false;
};

int run(const Arguments& arguments) {
  const std::string file = arguments.output ? resolve_path(*arguments.output, ".") : config_folder() + "/concerto.toml";
  const std::string keys = (std::filesystem::path(file).parent_path() / "admin.keys").string();
  auto written = create_file(file, default_config(arguments.tiny, models_folder()), 0644);
  if (!written && written.error().code != base::Code::kConflict) {
    print_error(written.error());
    return kFailure;
  }
  print_note(written ? fmt::format("wrote {}", file) : fmt::format("{} is there already; left as it is", file));
  written = create_file(keys, "# Who holds a key of this file may answer cases.\n" + new_key() + "\n", 0600);
  if (!written && written.error().code != base::Code::kConflict) {
    print_error(written.error());
    return kFailure;
  }
  print_note(written ? fmt::format("wrote {} with a new admin key (readable by you only)", keys)
                     : fmt::format("{} is there already; left as it is", keys));
  return kOk;
}

}  // namespace

Verb init_verb() {
  const auto arguments = std::make_shared<Arguments>();
  return {"init", "Write a first configuration and an admin key",
          [arguments](Flags& flags) {
            flags.flag("--tiny", &arguments->tiny, "SmolLM2-135M alone instead of the two Qwen models")
                .text("-o,--output", &arguments->output, "FILE", "where (default: concerto.toml in the config folder)")
                .footer(
                    "Files that are there already are left as they are. Models are looked for in $CONCERTO_MODELS,\n"
                    "or ~/.cache/concerto/models; `concerto pull` brings them there.");
          },
          [arguments] { return run(*arguments); }};
}

}  // namespace concerto::app
