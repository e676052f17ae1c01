// Q8_0: 32 weights in 34 bytes, w = d * q.
//
//   bytes 0-1   f16 d
//   bytes 2-33  int8 q[32]
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"

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

}  // namespace

const TypeCodec kQ8_0Codec = {base::TensorType::kQ8_0, decode, nullptr};

}  // namespace concerto::quant
