// Gguf: a GGUF v2/v3 file, mapped and checked. Format: github.com/ggml-org/ggml docs/gguf.md.
//
// open() validates every count, length, offset and size before anything else may look at them; errors name the file,
// the field, what was expected and what was found. Immutable afterwards; thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/tensor_file.h"

namespace concerto::formats {

class Gguf : public TensorFile {
 public:
  static base::Result<std::unique_ptr<Gguf>> open(const std::string& path);
  // From bytes in memory that outlive the object (tests, fuzzing). `name` stands for the path in errors.
  static base::Result<std::unique_ptr<Gguf>> from_memory(std::span<const std::byte> bytes, std::string name);

  [[nodiscard]] virtual bool has(std::string_view key) const = 0;
  // Typed metadata; kNotFound when absent, kCorrupt when of another type (integer kinds convert when the value fits).
  [[nodiscard]] virtual base::Result<uint64_t> get_uint(std::string_view key) const = 0;
  [[nodiscard]] virtual base::Result<double> get_float(std::string_view key) const = 0;
  [[nodiscard]] virtual base::Result<bool> get_bool(std::string_view key) const = 0;
  [[nodiscard]] virtual base::Result<std::string_view> get_string(std::string_view key) const = 0;
  [[nodiscard]] virtual base::Result<std::vector<std::string_view>> get_strings(std::string_view key) const = 0;
  [[nodiscard]] virtual base::Result<std::vector<int64_t>> get_ints(std::string_view key) const = 0;
  [[nodiscard]] virtual base::Result<std::vector<float>> get_floats(std::string_view key) const = 0;
  [[nodiscard]] virtual std::vector<std::string_view> keys() const = 0;
  [[nodiscard]] virtual uint32_t version() const = 0;
};

}  // namespace concerto::formats
