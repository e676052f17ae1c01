// TensorFile: what a GGUF file and a Hugging Face folder have in common: named tensors in mapped memory.
//
// Everything was checked when the file was opened: a TensorInfo's bytes lie inside the mapping and have exactly the
// size that its type and shape need. The mapping lives as long as the TensorFile; reads are thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_type.h"

namespace concerto::formats {

struct TensorInfo {
  std::string name;
  base::TensorType type = base::TensorType::kF32;
  std::vector<uint64_t> shape;  // slowest dimension first: a matrix is {rows, cols}, as in safetensors
  std::span<const std::byte> bytes;
};

class TensorFile {
 public:
  virtual ~TensorFile() = default;
  [[nodiscard]] virtual std::string_view path() const = 0;
  [[nodiscard]] virtual const TensorInfo* find(std::string_view name) const = 0;
  [[nodiscard]] virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Tells the kernel that these bytes won't be read again soon (after repacking): keeps resident memory near 1x.
  virtual void release(std::span<const std::byte> bytes) const = 0;
};

}  // namespace concerto::formats
