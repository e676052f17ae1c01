// Prompt: a chat request as the token ids of one model, by its own template. Immutable; thread-safe.
//
// What a user writes can't become a control token: text of messages that spells one ("<|im_start|>") is rendered under
// a stand-in and encoded as plain text.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cascade/chat.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace concerto::cascade {

struct Prompt {
  std::vector<int32_t> ids;
  bool opens_think = false;  // it ends inside of a <think>
};

class PromptBuilder {
 public:
  // Both must outlive the builder.
  PromptBuilder(const text::ChatTemplate& chat_template, const text::Tokenizer& tokenizer);

  // wall_ms: what a template that prints the date sees. kInvalidArgument when the template refuses the messages.
  [[nodiscard]] base::Result<Prompt> build(const ChatRequest& request, int64_t wall_ms) const;

 private:
  class Shield;
  const text::ChatTemplate& template_;
  const text::Tokenizer& tokenizer_;
  std::vector<std::string> control_;  // texts of the control tokens, longest first
};

}  // namespace concerto::cascade
