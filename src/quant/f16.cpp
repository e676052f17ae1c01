// F16: IEEE binary16, little-endian. One weight a block. Encoding rounds to nearest even; beyond 65504 it is infinity.
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"

namespace concerto::quant {
namespace {

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t i = 0; i < n_blocks; ++i) out[i] = base::f16_to_f32(base::load_le<uint16_t>(blocks + 2 * i));
}

void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  for (size_t i = 0; i < n_blocks; ++i) base::store_le(blocks + 2 * i, base::f32_to_f16(in[i]));
}

}  // namespace

const TypeCodec kF16Codec = {base::TensorType::kF16, decode, encode};

}  // namespace concerto::quant
