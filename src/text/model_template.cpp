#include "text/model_template.h"

#include <fmt/format.h>

#include <utility>

#include "text/json_file.h"

namespace concerto::text {
namespace {

using base::Code;
using base::Result;

Result<std::unique_ptr<ChatTemplate>> compile_for(std::string source, const Tokenizer& tokenizer,
                                                  std::string_view where) {
  auto made = ChatTemplate::compile(std::move(source), std::string(tokenizer.token_bytes(tokenizer.bos())),
                                    std::string(tokenizer.token_bytes(tokenizer.eos())));
  if (!made) return base::fail(made.error().code, fmt::format("{}: {}", where, made.error().message));
  return made;
}

base::Error missing(std::string_view where) {
  return {
      Code::kUnsupported,
      fmt::format("{}: expected the model's chat template, found none: this model can complete text, not chat", where),
      {}};
}

// The template inside of tokenizer_config.json: a text, or a list of {"name", "template"}.
std::string template_of(const nlohmann::json& config) {
  if (!config.is_object() || !config.contains("chat_template")) return {};
  const nlohmann::json& value = config["chat_template"];
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return {};
  for (const nlohmann::json& named : value) {
    if (named.is_object() && named.value("name", nlohmann::json()) == "default" && named.contains("template") &&
        named["template"].is_string()) {
      return named["template"].get<std::string>();
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<ChatTemplate>> load_chat_template(const formats::Gguf& file, const Tokenizer& tokenizer) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  const std::string where = fmt::format("{}: {}", file.path(), kKey);
  if (!file.has(kKey)) return tl::make_unexpected(missing(where));
  TRY(const std::string_view source, file.get_string(kKey));
  return compile_for(std::string(source), tokenizer, where);
}

Result<std::unique_ptr<ChatTemplate>> load_chat_template(const std::string& folder, const Tokenizer& tokenizer) {
  constexpr size_t kMaxTemplateBytes = size_t{4} << 20;  // published ones have at most some 20 KB
  const std::string jinja = folder + "/chat_template.jinja";
  auto source = read_file(jinja, kMaxTemplateBytes);
  if (source) return compile_for(*std::move(source), tokenizer, jinja);
  if (source.error().code != Code::kNotFound) return tl::make_unexpected(source.error());
  const std::string path = folder + "/tokenizer_config.json";
  auto config = read_json_file(path);
  if (!config && config.error().code != Code::kNotFound) return tl::make_unexpected(config.error());
  std::string text = config ? template_of(*config) : std::string();
  if (text.empty()) return tl::make_unexpected(missing(path + ": chat_template"));
  return compile_for(std::move(text), tokenizer, path + ": chat_template");
}

}  // namespace concerto::text
