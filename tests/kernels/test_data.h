// Random and edge inputs for the kernel tests, and file blocks of every weight type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "base/tensor_type.h"
#include "kernels/kernels.h"

namespace concerto::kernels::test {

// 64-byte aligned, zeroed storage.
class Aligned {
 public:
  explicit Aligned(size_t bytes) : size_(bytes) {
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 127) / 64 * 64)));
    std::memset(data_.get(), 0, (bytes + 127) / 64 * 64);
  }
  [[nodiscard]] std::byte* data() const { return data_.get(); }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_;
};

inline uint16_t half_bits(float v) {  // plain values only: sign, 5-bit exponent, truncated mantissa
  const auto b = __builtin_bit_cast(uint32_t, v);
  const int e = static_cast<int>((b >> 23) & 255U) - 112;
  if (e <= 0) return static_cast<uint16_t>((b >> 16) & 0x8000U);
  return static_cast<uint16_t>(((b >> 16) & 0x8000U) | (static_cast<uint32_t>(e) << 10) | ((b >> 13) & 1023U));
}

// Valid blocks of `type` for rows x cols: random bits everywhere, but scales of a sensible size.
inline std::vector<std::byte> random_file(base::TensorType type, int rows, int cols, uint64_t seed) {
  const auto& g = base::geometry(type);
  const size_t blocks = static_cast<size_t>(rows) * static_cast<size_t>(cols) / g.block_weights;
  std::vector<std::byte> out(blocks * g.block_bytes);
  std::mt19937_64 rng(seed);
  for (auto& b : out) b = static_cast<std::byte>(rng());
  std::uniform_real_distribution<float> scale(-0.02F, 0.02F);
  const auto put = [&](size_t block, size_t offset) {
    const uint16_t h = half_bits(scale(rng));
    std::memcpy(out.data() + block * g.block_bytes + offset, &h, 2);
  };
  for (size_t i = 0; i < blocks; ++i) {
    switch (type) {
      case base::TensorType::kF32: {
        const float v = scale(rng) * 50;
        std::memcpy(out.data() + i * 4, &v, 4);
        break;
      }
      case base::TensorType::kBF16: {
        const auto v = static_cast<uint16_t>(__builtin_bit_cast(uint32_t, scale(rng)) >> 16);
        std::memcpy(out.data() + i * 2, &v, 2);
        break;
      }
      case base::TensorType::kF16:
      case base::TensorType::kQ4_0:
      case base::TensorType::kQ5_0:
      case base::TensorType::kQ8_0:
        put(i, 0);
        break;
      case base::TensorType::kQ4_1:
      case base::TensorType::kQ5_1:
      case base::TensorType::kQ4_K:
      case base::TensorType::kQ5_K:
        put(i, 0);
        put(i, 2);
        break;
      case base::TensorType::kQ6_K:
        put(i, 208);
        break;
    }
  }
  return out;
}

inline std::vector<float> random_floats(size_t n, uint64_t seed, float spread = 3.0F) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> out(n);
  for (auto& v : out) v = normal(rng);
  return out;
}

// A packed random matrix that owns its bytes.
struct Matrix {
  std::vector<std::byte> file;
  Aligned packed;
  PackedMatrix view;
  Matrix(base::TensorType type, int rows, int cols, uint64_t seed)
      : file(random_file(type, rows, cols, seed)), packed(packed_bytes(type, rows, cols)) {
    view = {type, rows, cols, packed.data(), packed.size()};
    pack(type, rows, cols, file.data(), 0, view.panels(), packed.data());
  }
};

// Activations that own their storage, quantised by `table` with one scale per `block` columns.
struct Inputs {
  std::vector<float> f32;
  Aligned storage;
  Activations x;
  Inputs(const KernelTable& table, std::vector<float> values, int tokens, int cols, int block)
      : f32(std::move(values)), storage(Activations::bytes(tokens, cols, block)) {
    std::memset(storage.data(), 0x5A, storage.size());  // every byte that is read must have been written
    x = Activations::bind(storage.data(), f32.data(), tokens, cols, block);
    table.quantize(x, 0, tokens);
  }
};

}  // namespace concerto::kernels::test
