// Q4_K: 256 weights in 144 bytes; eight groups of 32, w = (d * scale) * q - (dmin * minimum).
//
//   bytes 0-1     f16 d
//   bytes 2-3     f16 dmin
//   bytes 4-15    scales and minimums of the groups, see k_scales.h
//   bytes 16-143  q: bytes 32c..32c+31 hold group 2c (low nibbles) and group 2c + 1 (high nibbles)
#include "base/bytes.h"
#include "base/half.h"
#include "quant/codecs.h"
#include "quant/k_encode.h"
#include "quant/k_scales.h"

namespace concerto::quant {
namespace {

constexpr size_t kWeights = 256;
constexpr size_t kBytes = 144;
constexpr size_t kGroup = 32;

void decode(const std::byte* blocks, float* out, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, out += kWeights) {
    const float d = base::f16_to_f32(base::load_le<uint16_t>(blocks));
    const float dmin = base::f16_to_f32(base::load_le<uint16_t>(blocks + 2));
    const KScales groups = unpack_k_scales(blocks + 4);
    for (size_t g = 0; g < 8; ++g) {
      const float scale = d * static_cast<float>(groups.scale[g]);
      const float minimum = dmin * static_cast<float>(groups.minimum[g]);
      const std::byte* q = blocks + 16 + g / 2 * kGroup;
      const int shift = g % 2 == 0 ? 0 : 4;
      for (size_t i = 0; i < kGroup; ++i)
        out[g * kGroup + i] = scale * static_cast<float>((static_cast<int>(q[i]) >> shift) & 0xF) - minimum;
    }
  }
}

void encode(const float* in, std::byte* blocks, size_t n_blocks) noexcept {
  for (size_t b = 0; b < n_blocks; ++b, blocks += kBytes, in += kWeights) {
    const KBlock block = encode_k_block(in, 15);
    base::store_le(blocks, block.d);
    base::store_le(blocks + 2, block.dmin);
    pack_k_scales(block.groups, blocks + 4);
    for (size_t i = 0; i < kWeights / 2; ++i) {
      const uint8_t* pair = block.q + i / kGroup * 2 * kGroup + i % kGroup;
      blocks[16 + i] = static_cast<std::byte>(pair[0] | pair[kGroup] << 4);
    }
  }
}

}  // namespace

const TypeCodec kQ4_KCodec = {base::TensorType::kQ4_K, decode, encode};

}  // namespace concerto::quant
