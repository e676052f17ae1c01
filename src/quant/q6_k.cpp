// Q6_K: 256 weights in 210 bytes; sixteen groups of 16, w = (d * scale) * (q - 32).
//
//   bytes 0-127    bits 0-3 of q   \  each half of 128 weights takes 64 bytes of the first and 32 of the second part;
//   bytes 128-191  bits 4-5 of q   /  weight 32k + i of a half (k < 4, i < 32) is
//                    low:  byte 32 * (k % 2) + i, nibble k / 2       high: byte i, bits 2k and 2k + 1
//   bytes 192-207  int8 scale of each group
//   bytes 208-209  f16 d
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"

namespace concerto::quant {
namespace {

constexpr size_t kWeights = 256;
constexpr size_t kBytes = 210;
constexpr size_t kGroup = 16;
constexpr size_t kHighAt = 128;
constexpr size_t kScaleAt = 192;
constexpr size_t kDAt = 208;

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, out += kWeights) {
    const float d = base::f16_to_f32(base::load_le<uint16_t>(blocks + kDAt));
    for (size_t w = 0; w < kWeights; ++w) {
      const size_t half = w / 128;
      const size_t k = w % 128 / 32;
      const size_t i = w % 32;
      const int low = (static_cast<int>(blocks[64 * half + 32 * (k % 2) + i]) >> (4 * (k / 2))) & 0xF;
      const int high = (static_cast<int>(blocks[kHighAt + 32 * half + i]) >> (2 * k)) & 3;
      const float scale = d * static_cast<float>(static_cast<int8_t>(blocks[kScaleAt + w / kGroup]));
      out[w] = scale * static_cast<float>((low | high << 4) - 32);
    }
  }
}

}  // namespace

const TypeCodec kQ6_KCodec = {base::TensorType::kQ6_K, decode, nullptr};

}  // namespace concerto::quant
