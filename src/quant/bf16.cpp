// BF16: the upper half of an IEEE binary32, little-endian. One weight a block. Encoding rounds to nearest even.
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"

namespace concerto::quant {
namespace {

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t i = 0; i < n_blocks; ++i) out[i] = base::bf16_to_f32(base::load_le<uint16_t>(blocks + 2 * i));
}

void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  for (size_t i = 0; i < n_blocks; ++i) base::store_le(blocks + 2 * i, base::f32_to_bf16(in[i]));
}

}  // namespace

const TypeCodec kBF16Codec = {base::TensorType::kBF16, decode, encode};

}  // namespace concerto::quant
