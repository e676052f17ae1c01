// ChatTemplate: the model's own Jinja chat template, rendered by minijinja behind rust/concerto_rust.h. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace concerto::text {

struct TemplateInput {
  std::string messages_json;  // JSON array of {"role","content",...} exactly as the template expects
  std::string tools_json;     // JSON array or empty
  std::string extra_json;     // JSON object of further variables (enable_thinking ...) or empty
  bool add_generation_prompt = true;
  int64_t wall_ms = 0;  // what strftime_now sees
};

class ChatTemplate {
 public:
  // source: Jinja text. bos/eos: the texts of those tokens, as variables of the template.
  // Error: kCorrupt with the template's line when it doesn't parse.
  static base::Result<std::unique_ptr<ChatTemplate>> compile(std::string source, const std::string& bos,
                                                             const std::string& eos);
  virtual ~ChatTemplate() = default;
  // kInvalidArgument when the template itself refuses (raise_exception) or runs out of fuel.
  [[nodiscard]] virtual base::Result<std::string> render(const TemplateInput& input) const = 0;
  [[nodiscard]] virtual const std::string& source() const = 0;
};

}  // namespace concerto::text
