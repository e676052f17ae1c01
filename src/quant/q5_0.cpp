// Q5_0: 32 weights in 22 bytes, w = d * (q - 16).
//
//   bytes 0-1   f16 d
//   bytes 2-5   uint32: bit i is bit 4 of the q of weight i
//   bytes 6-21  bits 0-3 of q: byte i holds weight i (low nibble) and weight i + 16 (high nibble)
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"

namespace concerto::quant {
namespace {

constexpr size_t kWeights = 32;
constexpr size_t kBytes = 22;

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, out += kWeights) {
    const float d = base::f16_to_f32(base::load_le<uint16_t>(blocks));
    const auto fifth = base::load_le<uint32_t>(blocks + 2);
    for (size_t i = 0; i < kWeights / 2; ++i) {
      const int packed = static_cast<int>(blocks[6 + i]);
      const int low = (packed & 0xF) | static_cast<int>((fifth >> i) & 1U) << 4;
      const int high = (packed >> 4) | static_cast<int>((fifth >> (i + 16)) & 1U) << 4;
      out[i] = d * static_cast<float>(low - 16);
      out[i + 16] = d * static_cast<float>(high - 16);
    }
  }
}

}  // namespace

const TypeCodec kQ5_0Codec = {base::TensorType::kQ5_0, decode, nullptr};

}  // namespace concerto::quant
