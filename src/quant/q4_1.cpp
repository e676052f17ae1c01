// Q4_1: 32 weights in 20 bytes, w = d * q + m.
//
//   bytes 0-1   f16 d
//   bytes 2-3   f16 m
//   bytes 4-19  q: byte i holds weight i (low nibble) and weight i + 16 (high nibble)
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"

namespace concerto::quant {
namespace {

constexpr size_t kWeights = 32;
constexpr size_t kBytes = 20;

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, out += kWeights) {
    const float d = base::f16_to_f32(base::load_le<uint16_t>(blocks));
    const float m = base::f16_to_f32(base::load_le<uint16_t>(blocks + 2));
    for (size_t i = 0; i < kWeights / 2; ++i) {
      const int packed = static_cast<int>(blocks[4 + i]);
      out[i] = d * static_cast<float>(packed & 0xF) + m;
      out[i + 16] = d * static_cast<float>(packed >> 4) + m;
    }
  }
}

}  // namespace

const TypeCodec kQ4_1Codec = {base::TensorType::kQ4_1, decode, nullptr};

}  // namespace concerto::quant
