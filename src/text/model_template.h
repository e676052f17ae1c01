// Where a model keeps its chat template, and loading it: GGUF metadata, or the files of a Hugging Face folder.
//
// There is no built-in fallback: a guessed template makes a model worse without anybody noticing. A model without one
// gives kUnsupported, naming the file and the key that it lacks.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "formats/gguf.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace concerto::text {

// tokenizer.chat_template. bos_token and eos_token of the template are those of `tokenizer`.
base::Result<std::unique_ptr<ChatTemplate>> load_chat_template(const formats::Gguf& file, const Tokenizer& tokenizer);

// chat_template.jinja, else "chat_template" of tokenizer_config.json (of several, the one named "default").
base::Result<std::unique_ptr<ChatTemplate>> load_chat_template(const std::string& folder, const Tokenizer& tokenizer);

}  // namespace concerto::text
