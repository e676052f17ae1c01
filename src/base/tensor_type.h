// TensorType: the element types of weight files, numbered as in GGUF (ggml type ids), and their block geometry.
//
// A quantised type stores `block_weights` consecutive weights of a row in `block_bytes` bytes. What the bytes mean is
// quant/'s business; formats/ needs only the geometry, to check sizes.
#pragma once

#include <cstdint>
#include <string_view>

namespace concerto::base {

enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

struct TensorGeometry {
  TensorType type;
  std::string_view name;  // "Q4_K"
  uint32_t block_weights;
  uint32_t block_bytes;
};

inline constexpr TensorGeometry kTensorGeometries[] = {
    {TensorType::kF32, "F32", 1, 4},       {TensorType::kF16, "F16", 1, 2},       {TensorType::kBF16, "BF16", 1, 2},
    {TensorType::kQ4_0, "Q4_0", 32, 18},   {TensorType::kQ4_1, "Q4_1", 32, 20},   {TensorType::kQ5_0, "Q5_0", 32, 22},
    {TensorType::kQ5_1, "Q5_1", 32, 24},   {TensorType::kQ8_0, "Q8_0", 32, 34},   {TensorType::kQ4_K, "Q4_K", 256, 144},
    {TensorType::kQ5_K, "Q5_K", 256, 176}, {TensorType::kQ6_K, "Q6_K", 256, 210},
};

// nullptr for an id this build does not know.
constexpr const TensorGeometry* find_geometry(uint32_t ggml_type) noexcept {
  for (const auto& g : kTensorGeometries) {
    if (static_cast<uint32_t>(g.type) == ggml_type) return &g;
  }
  return nullptr;
}
constexpr const TensorGeometry& geometry(TensorType type) noexcept {
  return *find_geometry(static_cast<uint32_t>(type));
}

}  // namespace concerto::base
