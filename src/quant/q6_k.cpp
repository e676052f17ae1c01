// Q6_K: 256 weights in 210 bytes; sixteen groups of 16, w = (d * scale) * (q - 32).
//
//   bytes 0-127    bits 0-3 of q   \  each half of 128 weights takes 64 bytes of the first and 32 of the second part;
//   bytes 128-191  bits 4-5 of q   /  weight 32k + i of a half (k < 4, i < 32) is
//                    low:  byte 32 * (k % 2) + i, nibble k / 2       high: byte i, bits 2k and 2k + 1
//   bytes 192-207  int8 scale of each group
//   bytes 208-209  f16 d
#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"
#include "quant/scale_search.h"

namespace concerto::quant {
namespace {

constexpr size_t kWeights = 256;
constexpr size_t kBytes = 210;
constexpr size_t kGroup = 16;
constexpr size_t kHighAt = 128;
constexpr size_t kScaleAt = 192;
constexpr size_t kDAt = 208;

// Where the two parts of the q of weight w are.
struct Place {
  size_t low;
  int low_shift;
  size_t high;
  int high_shift;
};

constexpr Place place_of(size_t w) noexcept {
  const size_t half = w / 128;
  const size_t k = w % 128 / 32;
  const size_t i = w % 32;
  return {64 * half + 32 * (k % 2) + i, static_cast<int>(4 * (k / 2)), kHighAt + 32 * half + i,
          static_cast<int>(2 * k)};
}

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, out += kWeights) {
    const float d = base::f16_to_f32(base::load_le<uint16_t>(blocks + kDAt));
    for (size_t w = 0; w < kWeights; ++w) {
      const Place place = place_of(w);
      const int low = (static_cast<int>(blocks[place.low]) >> place.low_shift) & 0xF;
      const int high = (static_cast<int>(blocks[place.high]) >> place.high_shift) & 3;
      const float scale = d * static_cast<float>(static_cast<int8_t>(blocks[kScaleAt + w / kGroup]));
      out[w] = scale * static_cast<float>((low | high << 4) - 32);
    }
  }
}

void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  constexpr float kLow = -32.0F;
  constexpr float kHigh = 31.0F;
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, in += kWeights) {
    float x[kWeights];
    float w[kWeights];
    float scales[kWeights / kGroup];
    copy_finite(in, kWeights, x);
    float extreme = 0;
    for (size_t g = 0; g < kWeights / kGroup; ++g) {
      importance(x + g * kGroup, kGroup, w + g * kGroup);
      scales[g] = search_scale(x + g * kGroup, w + g * kGroup, kGroup, kLow, kHigh, Stored::kFloat);
      if (std::fabs(scales[g]) > std::fabs(extreme)) extreme = scales[g];
    }
    const float d = to_covering_half(extreme / -128.0F);
    std::fill_n(blocks, kScaleAt, std::byte{0});
    base::store_le(blocks + kDAt, base::f32_to_f16(d));
    for (size_t g = 0; g < kWeights / kGroup; ++g) {
      const float* gx = x + g * kGroup;
      const int nearest = static_cast<int>(quantise(scales[g], inverse_of(d), -128.0F, 127.0F));
      int best = nearest;
      float best_error = scale_error(gx, w + g * kGroup, kGroup, kLow, kHigh, d * static_cast<float>(nearest));
      for (const int code : {nearest - 1, nearest + 1}) {
        if (code < -128 || code > 127) continue;
        const float error = scale_error(gx, w + g * kGroup, kGroup, kLow, kHigh, d * static_cast<float>(code));
        if (error < best_error) {
          best_error = error;
          best = code;
        }
      }
      blocks[kScaleAt + g] = static_cast<std::byte>(static_cast<int8_t>(best));
      const float inverse = inverse_of(d * static_cast<float>(best));
      for (size_t i = 0; i < kGroup; ++i) {
        const Place place = place_of(g * kGroup + i);
        const int q = static_cast<int>(quantise(gx[i], inverse, kLow, kHigh)) + 32;
        blocks[place.low] |= static_cast<std::byte>((q & 0xF) << place.low_shift);
        blocks[place.high] |= static_cast<std::byte>((q >> 4) << place.high_shift);
      }
    }
  }
}

}  // namespace

const TypeCodec kQ6_KCodec = {base::TensorType::kQ6_K, decode, encode};

}  // namespace concerto::quant
