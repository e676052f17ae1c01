// Q5_1: 32 weights in 24 bytes, w = d * q + m.
//
//   bytes 0-1   f16 d
//   bytes 2-3   f16 m
//   bytes 4-7   uint32: bit i is bit 4 of the q of weight i
//   bytes 8-23  bits 0-3 of q: byte i holds weight i (low nibble) and weight i + 16 (high nibble)
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"

namespace concerto::quant {
namespace {

constexpr size_t kWeights = 32;
constexpr size_t kBytes = 24;

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, out += kWeights) {
    const float d = base::f16_to_f32(base::load_le<uint16_t>(blocks));
    const float m = base::f16_to_f32(base::load_le<uint16_t>(blocks + 2));
    const auto fifth = base::load_le<uint32_t>(blocks + 4);
    for (size_t i = 0; i < kWeights / 2; ++i) {
      const int packed = static_cast<int>(blocks[8 + i]);
      const int low = (packed & 0xF) | static_cast<int>((fifth >> i) & 1U) << 4;
      const int high = (packed >> 4) | static_cast<int>((fifth >> (i + 16)) & 1U) << 4;
      out[i] = d * static_cast<float>(low) + m;
      out[i + 16] = d * static_cast<float>(high) + m;
    }
  }
}

}  // namespace

const TypeCodec kQ5_1Codec = {base::TensorType::kQ5_1, decode, nullptr};

}  // namespace concerto::quant
