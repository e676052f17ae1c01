#include "app/model_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/config.h"
#include "app/nearest.h"
#include "app/paths.h"
#include "fetch/known.h"
#include "formats/gguf.h"

namespace concerto::app {

base::Result<std::string> find_model(const std::string& name) {
  std::error_code ignored;
  for (const std::string& path :
       {resolve_path(name, "."), models_folder() + "/" + name, models_folder() + "/" + name + ".gguf"}) {
    if (!name.empty() && std::filesystem::exists(path, ignored)) return path;
  }
  if (const auto config = load_config({})) {
    for (const TierConfig& tier : config->tiers) {
      if (tier.kind == TierKind::kLocal && tier.name == name) return tier.model;
    }
  }
  if (fetch::find_known(name) != nullptr) {
    return base::fail(base::Code::kNotFound, fmt::format("{}: not in {} yet; `concerto pull {}` fetches it", name,
                                                         shorten_path(models_folder()), name));
  }
  const auto known = known_models();
  std::string list;
  for (const auto& one : known) list += (list.empty() ? "" : ", ") + one;
  const std::string near = nearest(name, known);
  return base::fail(base::Code::kNotFound,
                    fmt::format("{}: expected a model: a .gguf file, a Hugging Face folder, or a name of {} ({}){}",
                                name, shorten_path(models_folder()), list.empty() ? "which holds none" : list,
                                near.empty() ? "" : fmt::format("; did you mean {}?", near)));
}

std::string how_to_get(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string name = file.stem().string();
  const bool pulled = fetch::find_known(name) != nullptr && path == fmt::format("{}/{}.gguf", models_folder(), name);
  return pulled ? fmt::format("`concerto pull {}` fetches it", name) : "put the model there";
}

std::vector<std::string> known_models() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(models_folder(), error)) {
    if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem().string());
    const bool pulled =
        entry.path().extension() != ".incomplete" && std::filesystem::exists(entry.path() / "config.json", error);
    if (pulled) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

base::Result<std::unique_ptr<text::Tokenizer>> open_tokenizer(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return text::Tokenizer::from_folder(path);
  TRY(const auto file, formats::Gguf::open(path));
  return text::Tokenizer::from_gguf(*file);
}

}  // namespace concerto::app
