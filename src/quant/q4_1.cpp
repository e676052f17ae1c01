// Q4_1: 32 weights in 20 bytes, w = d * q + m.
//
//   bytes 0-1   f16 d
//   bytes 2-3   f16 m
//   bytes 4-19  q: byte i holds weight i (low nibble) and weight i + 16 (high nibble)
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"
#include "quant/scale_search.h"

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

void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, in += kWeights) {
    float x[kWeights];
    copy_finite(in, kWeights, x);
    const Affine fit = search_affine(x, kEqualWeights, kWeights, 15.0F, false, Stored::kHalf);
    const float inverse = inverse_of(fit.d);
    base::store_le(blocks, base::f32_to_f16(fit.d));
    base::store_le(blocks + 2, base::f32_to_f16(fit.m));
    for (size_t i = 0; i < kWeights / 2; ++i) {
      const int low = static_cast<int>(quantise(x[i] - fit.m, inverse, 0.0F, 15.0F));
      const int high = static_cast<int>(quantise(x[i + 16] - fit.m, inverse, 0.0F, 15.0F));
      blocks[4 + i] = static_cast<std::byte>(low | high << 4);
    }
  }
}

}  // namespace

const TypeCodec kQ4_1Codec = {base::TensorType::kQ4_1, decode, encode};

}  // namespace concerto::quant
