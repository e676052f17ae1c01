// The 12 bytes of Q4_K and Q5_K that hold eight 6-bit scales and eight 6-bit minimums, one of each per 32 weights.
//
//   byte i      (i < 4)  bits 0-5 scale i      bits 6-7 bits 4-5 of scale i + 4
//   byte i + 4  (i < 4)  bits 0-5 minimum i    bits 6-7 bits 4-5 of minimum i + 4
//   byte i + 8  (i < 4)  bits 0-3 of scale i + 4 (low nibble), of minimum i + 4 (high nibble)
#pragma once

#include <cstddef>
#include <cstdint>

namespace concerto::quant {

struct KScales {
  uint8_t scale[8];
  uint8_t minimum[8];
};

inline KScales unpack_k_scales(const std::byte* packed) noexcept {
  KScales out{};
  for (int i = 0; i < 4; ++i) {
    const auto a = static_cast<uint8_t>(packed[i]);
    const auto b = static_cast<uint8_t>(packed[i + 4]);
    const auto c = static_cast<uint8_t>(packed[i + 8]);
    out.scale[i] = a & 63;
    out.minimum[i] = b & 63;
    out.scale[i + 4] = static_cast<uint8_t>((c & 0xF) | (a >> 6) << 4);
    out.minimum[i + 4] = static_cast<uint8_t>((c >> 4) | (b >> 6) << 4);
  }
  return out;
}

// Values must be below 64.
inline void pack_k_scales(const KScales& in, std::byte* packed) noexcept {
  for (int i = 0; i < 4; ++i) {
    packed[i] = static_cast<std::byte>(in.scale[i] | (in.scale[i + 4] >> 4) << 6);
    packed[i + 4] = static_cast<std::byte>(in.minimum[i] | (in.minimum[i + 4] >> 4) << 6);
    packed[i + 8] = static_cast<std::byte>((in.scale[i + 4] & 0xF) | (in.minimum[i + 4] & 0xF) << 4);
  }
}

}  // namespace concerto::quant
