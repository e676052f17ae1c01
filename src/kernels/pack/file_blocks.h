// Reads one 32-column sub-block of a row out of the file's blocks (ggml's published block layouts), mostly as eight
// words: byte j of words[g] = the unsigned quant of column 4g + j. Internal to kernels/pack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace concerto::kernels::pack_detail {

inline uint32_t load_u32(const std::byte* p) noexcept {
  uint32_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline uint16_t load_u16(const std::byte* p) noexcept {
  uint16_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline uint8_t load_u8(const std::byte* p) noexcept { return static_cast<uint8_t>(*p); }

inline uint64_t load_u64(const std::byte* p) noexcept {
  uint64_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline constexpr uint64_t kNibbles64 = 0x0F0F0F0F0F0F0F0FU;
inline constexpr uint32_t kNibbles = 0x0F0F0F0FU;
inline constexpr uint32_t kLowBits = 0x01010101U;
inline constexpr uint32_t kLowPairs = 0x03030303U;

// 16 bytes: column c < 16 in the low nibble of byte c, column 16 + c in the high one (Q4_0, Q4_1, Q5_0, Q5_1).
inline void words_of_nibbles16(const std::byte* q, uint32_t* words) noexcept {
  for (int g = 0; g < 4; ++g) {
    const uint32_t v = load_u32(q + g * 4);
    words[g] = v & kNibbles;
    words[4 + g] = (v >> 4) & kNibbles;
  }
}

// Bit c of `bits` becomes bit 4 of column c (Q5_0, Q5_1).
inline void add_bits32(uint32_t bits, uint32_t* words) noexcept {
  for (int g = 0; g < 8; ++g) {
    const uint32_t four = (bits >> (g * 4)) & 15U;
    words[g] |= ((four * 0x00204081U) & kLowBits) << 4;  // spreads bit j to byte j
  }
}

// Q4_K, Q5_K: d, dmin f16 | scales[12] | Q5_K: high bits[32] | nibbles[128]. Sub-blocks 2i and 2i+1 are the low and
// high nibbles of bytes 32i..32i+31; bit s of high byte c is bit 4 of column c of sub-block s.
//
// The 6-bit scale and minimum of sub-block s of Q4_K, Q5_K out of their 12 bytes.
inline void super_scale(const std::byte* b, int s, uint8_t* scale, uint8_t* min) noexcept {
  if (s < 4) {
    *scale = load_u8(b + s) & 63U;
    *min = load_u8(b + s + 4) & 63U;
  } else {
    *scale = static_cast<uint8_t>((load_u8(b + s + 4) & 15U) | ((load_u8(b + s - 4) >> 6) << 4));
    *min = static_cast<uint8_t>((load_u8(b + s + 4) >> 4) | ((load_u8(b + s) >> 6) << 4));
  }
}

// Q6_K: low[128] | high[64] | scales[16] int8 | d f16. Half h = s / 4 holds columns 128h..: low nibbles of its 64 bytes
// are its first two sub-blocks, high nibbles the other two; bits 2k..2k+1 of high byte c belong to its sub-block k.
inline constexpr size_t kQ6High = 128;
inline constexpr size_t kQ6Scales = 192;
inline constexpr size_t kQ6D = 208;

}  // namespace concerto::kernels::pack_detail
