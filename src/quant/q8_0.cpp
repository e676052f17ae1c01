// Q8_0: 32 weights in 34 bytes, w = d * q.
//
//   bytes 0-1   f16 d
//   bytes 2-33  int8 q[32]
#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"
#include "quant/scale_search.h"

namespace concerto::quant {
namespace {

constexpr size_t kWeights = 32;
constexpr size_t kBytes = 34;

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, out += kWeights) {
    const float d = base::f16_to_f32(base::load_le<uint16_t>(blocks));
    for (size_t i = 0; i < kWeights; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(blocks[2 + i]));
  }
}

// d covers the largest magnitude; 127 levels a side leave a search little to gain, and this runs at load.
void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, in += kWeights) {
    float x[kWeights];
    copy_finite(in, kWeights, x);
    float largest = 0;
    for (const float v : x) largest = std::max(largest, std::fabs(v));
    const float d = to_stored_half(largest / 127.0F);
    const float inverse = inverse_of(d);
    base::store_le(blocks, base::f32_to_f16(d));
    for (size_t i = 0; i < kWeights; ++i)
      blocks[2 + i] = static_cast<std::byte>(static_cast<int8_t>(quantise(x[i], inverse, -127.0F, 127.0F)));
  }
}

}  // namespace

const TypeCodec kQ8_0Codec = {base::TensorType::kQ8_0, decode, encode};

}  // namespace concerto::quant
