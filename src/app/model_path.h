// find_model(): what people call a model -> where it is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace concerto::app {

// A path that exists; else a file of the models folder, with or without ".gguf"; else a local tier's name in the
// configuration, when there is one. kNotFound lists what there is.
base::Result<std::string> find_model(const std::string& name);

// What the models folder holds, sorted: .gguf files, without ".gguf", and Hugging Face folders.
std::vector<std::string> known_models();

// "`concerto pull NAME` fetches it" for a missing file that it would bring to that very place; else "put the model
// there".
std::string how_to_get(const std::string& path);

// The tokenizer alone, of a .gguf file or a Hugging Face folder.
base::Result<std::unique_ptr<text::Tokenizer>> open_tokenizer(const std::string& path);

}  // namespace concerto::app
