// The header of one safetensors file: checked against the file's bytes. Internal to formats/; see safetensors.h.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/tensor_file.h"

namespace concerto::formats {

// The tensors in the order of their data; their bytes are parts of `bytes`. `name` stands for the file in errors.
base::Result<std::vector<TensorInfo>> parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

}  // namespace concerto::formats
