// Q5_0: 32 weights in 22 bytes, w = d * (q - 16).
//
//   bytes 0-1   f16 d
//   bytes 2-5   uint32: bit i is bit 4 of the q of weight i
//   bytes 6-21  bits 0-3 of q: byte i holds weight i (low nibble) and weight i + 16 (high nibble)
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"
#include "quant/scale_search.h"

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

void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, in += kWeights) {
    float x[kWeights];
    copy_finite(in, kWeights, x);
    const float d = search_scale(x, kEqualWeights, kWeights, -16.0F, 15.0F, Stored::kHalf);
    const float inverse = inverse_of(d);
    uint32_t fifth = 0;
    for (size_t i = 0; i < kWeights / 2; ++i) {
      const auto low = static_cast<uint32_t>(static_cast<int>(quantise(x[i], inverse, -16.0F, 15.0F)) + 16);
      const auto high = static_cast<uint32_t>(static_cast<int>(quantise(x[i + 16], inverse, -16.0F, 15.0F)) + 16);
      fifth |= (low >> 4) << i | (high >> 4) << (i + 16);
      blocks[6 + i] = static_cast<std::byte>((low & 0xF) | (high & 0xF) << 4);
    }
    base::store_le(blocks, base::f32_to_f16(d));
    base::store_le(blocks + 2, fifth);
  }
}

}  // namespace

const TypeCodec kQ5_0Codec = {base::TensorType::kQ5_0, decode, encode};

}  // namespace concerto::quant
