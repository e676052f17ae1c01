// F32: IEEE binary32, little-endian. One weight a block.
#include <cstring>

#include "quant/codecs.h"

namespace concerto::quant {
namespace {

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  if (n_blocks != 0) std::memcpy(out, blocks, n_blocks * sizeof(float));
}

void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  if (n_blocks != 0) std::memcpy(blocks, in, n_blocks * sizeof(float));
}

}  // namespace

const TypeCodec kF32Codec = {base::TensorType::kF32, decode, encode};

}  // namespace concerto::quant
