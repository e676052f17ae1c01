// Q4_0: 32 weights in 18 bytes, w = d * (q - 8).
//
//   bytes 0-1   f16 d
//   bytes 2-17  q: byte i holds weight i (low nibble) and weight i + 16 (high nibble)
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"
#include "quant/scale_search.h"

namespace concerto::quant {
namespace {

constexpr size_t kWeights = 32;
constexpr size_t kBytes = 18;

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, out += kWeights) {
    const float d = base::f16_to_f32(base::load_le<uint16_t>(blocks));
    for (size_t i = 0; i < kWeights / 2; ++i) {
      const int packed = static_cast<int>(blocks[2 + i]);
      out[i] = d * static_cast<float>((packed & 0xF) - 8);
      out[i + 16] = d * static_cast<float>((packed >> 4) - 8);
    }
  }
}

void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, in += kWeights) {
    float x[kWeights];
    copy_finite(in, kWeights, x);
    const float d = search_scale(x, kEqualWeights, kWeights, -8.0F, 7.0F, Stored::kHalf);
    const float inverse = inverse_of(d);
    base::store_le(blocks, base::f32_to_f16(d));
    for (size_t i = 0; i < kWeights / 2; ++i) {
      const int low = static_cast<int>(quantise(x[i], inverse, -8.0F, 7.0F)) + 8;
      const int high = static_cast<int>(quantise(x[i + 16], inverse, -8.0F, 7.0F)) + 8;
      blocks[2 + i] = static_cast<std::byte>(low | high << 4);
    }
  }
}

}  // namespace

const TypeCodec kQ4_0Codec = {base::TensorType::kQ4_0, decode, encode};

}  // namespace concerto::quant
