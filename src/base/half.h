// Half: IEEE binary16 and bfloat16 to and from float, exact and rounded to nearest even, the same on every machine.
//
// Own bit arithmetic, no hardware conversion: it gives the bits that F16C and NEON give, NaN included (a signalling NaN
// becomes quiet, its payload's top bits stay), so that faster code elsewhere may be tested for equality. Header only.
#pragma once

#include <bit>
#include <cstdint>

namespace concerto::base {

[[nodiscard]] constexpr float f16_to_f32(uint16_t half) noexcept {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t exponent = (half >> 10) & 0x1FU;
  const uint32_t fraction = half & 0x3FFU;
  if (exponent == 0x1F) {
    const uint32_t quiet = fraction != 0 ? 0x400000U : 0U;
    return std::bit_cast<float>(sign | 0x7F800000U | quiet | (fraction << 13));
  }
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  // Zero or subnormal: fraction * 2^-24, exact in float.
  const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

[[nodiscard]] constexpr uint16_t f32_to_f16(float value) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U | ((magnitude >> 13) & 0x1FFU));
  if (magnitude >= 0x477FF000U) return static_cast<uint16_t>(sign | 0x7C00U);  // >= 65520 rounds to infinity
  if (magnitude >= 0x38800000U) {                                              // >= 2^-14: normal
    const uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
    return static_cast<uint16_t>(sign | ((rounded >> 13) - (112U << 10)));
  }
  if (magnitude <= 0x33000000U) return sign;  // <= 2^-25: half of the smallest subnormal ties to zero
  // Subnormal: the 24-bit significand shifted so that the unit is 2^-24, rounded to nearest even.
  const uint32_t shift = 126U - (magnitude >> 23);
  const uint32_t significand = (magnitude & 0x7FFFFFU) | 0x800000U;
  const uint32_t kept = significand >> shift;
  const uint32_t rest = significand & ((1U << shift) - 1U);
  const uint32_t tie = 1U << (shift - 1U);
  const uint32_t up = rest > tie || (rest == tie && (kept & 1U) != 0) ? 1U : 0U;
  return static_cast<uint16_t>(sign | (kept + up));
}

[[nodiscard]] constexpr float bf16_to_f32(uint16_t value) noexcept {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

[[nodiscard]] constexpr uint16_t f32_to_bf16(float value) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace concerto::base
