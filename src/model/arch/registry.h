// The architectures this build can run.
#pragma once

#include <string>
#include <string_view>

#include "model/arch/architecture.h"

namespace concerto::model {

// By GGUF general.architecture or config.json model_type; nullptr when unknown.
const Architecture* find_architecture(std::string_view name) noexcept;

// "llama, qwen2", for messages.
std::string architecture_names();

extern const Architecture kLlama;
extern const Architecture kQwen2;

}  // namespace concerto::model
