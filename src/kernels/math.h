// The engine's own scalar mathematics: exp, exp2, silu, log, half and bf16 conversions, correctly defined operation by
// operation. These functions are the definition; the vector code of every ISA repeats the same operations lane by lane
// and returns the same bits. Nothing here calls libm except fma and sqrt, which IEEE 754 rounds correctly.
//
// Everything is force-inlined: files built with different ISA flags include this header, and the linker must not merge
// their copies.
#pragma once

#include <cstdint>

namespace concerto::kernels {

#define CONCERTO_INLINE static inline __attribute__((always_inline))

// exp: |relative error| < 1e-7. Polynomial for (e^r - 1 - r) / r^2 on |r| <= ln2/2, fitted at Chebyshev nodes.
inline constexpr float kExpPoly[5] = {5.000000000e-01F, 1.666657667e-01F, 4.166655421e-02F, 8.363232884e-03F,
                                      1.392625083e-03F};
inline constexpr float kLog2E = 1.44269504F;
inline constexpr float kLn2High = 0.693145751953125F;  // 16 bits of ln 2: n * kLn2High is exact
inline constexpr float kLn2Low = 1.428606820e-06F;
inline constexpr float kExpLow = -87.3F;           // below: 0 (the result would be nearly denormal)
inline constexpr float kExpHigh = 88.722839F;      // above: inf; ln(FLT_MAX)
inline constexpr float kRoundMagic = 12582912.0F;  // 1.5 * 2^23: adding and subtracting it rounds half to even

// exp2_neg: 2^x for x <= 0, 0 below 2^-48, |relative error| < 1e-5 (its results are rounded to bf16 or cancel in o /
// l). Polynomial for (2^f - 1) / f on |f| <= 1/2.
inline constexpr float kExp2Poly[4] = {6.931366920e-01F, 2.402252961e-01F, 5.583895331e-02F, 9.656787635e-03F};
inline constexpr float kExp2Low = -48.0F;

inline constexpr float kBf16Tiny = 0x1p-48F;    // products of two are >= 2^-110 on a grid of 2^-114: no denormals
inline constexpr float kBf16Huge = 0x1p59F;     // 256 products of two stay below 2^126: no overflow
inline constexpr float kQuantTiny = 0x1p-119F;  // 127 / amax and amax / 127 are normal numbers from here on

CONCERTO_INLINE uint32_t bits_of(float x) noexcept { return __builtin_bit_cast(uint32_t, x); }
CONCERTO_INLINE float float_of(uint32_t bits) noexcept { return __builtin_bit_cast(float, bits); }
CONCERTO_INLINE float fma_f32(float a, float b, float c) noexcept { return __builtin_fmaf(a, b, c); }

CONCERTO_INLINE float exp_f32(float x) noexcept {
  if (x != x) return x;
  if (x < kExpLow) return 0.0F;
  if (x > kExpHigh) return __builtin_inff();
  const float n = fma_f32(x, kLog2E, kRoundMagic) - kRoundMagic;
  float r = fma_f32(n, -kLn2High, x);
  r = fma_f32(n, -kLn2Low, r);
  float p = fma_f32(kExpPoly[4], r, kExpPoly[3]);
  p = fma_f32(p, r, kExpPoly[2]);
  p = fma_f32(p, r, kExpPoly[1]);
  p = fma_f32(p, r, kExpPoly[0]);
  p = fma_f32(p, r * r, r) + 1.0F;
  return float_of(bits_of(p) + (static_cast<uint32_t>(static_cast<int32_t>(n)) << 23));
}

CONCERTO_INLINE float exp2_neg(float x) noexcept {
  if (!(x >= kExp2Low)) return 0.0F;
  const float n = (x + kRoundMagic) - kRoundMagic;
  const float f = x - n;
  float p = fma_f32(kExp2Poly[3], f, kExp2Poly[2]);
  p = fma_f32(p, f, kExp2Poly[1]);
  p = fma_f32(p, f, kExp2Poly[0]);
  p = fma_f32(p, f, 1.0F);
  return float_of(bits_of(p) + (static_cast<uint32_t>(static_cast<int32_t>(n)) << 23));
}

CONCERTO_INLINE float silu_f32(float x) noexcept { return x / (1.0F + exp_f32(-x)); }

// Natural logarithm of a positive finite normal x, by atanh((m - 1) / (m + 1)) in double, rounded once to float.
CONCERTO_INLINE float log_f32(float x) noexcept {
  if (!(x > 0.0F) || x > 0x1.fffffep127F) return x > 0.0F ? x : float_of(0x7FC00000U);
  const uint32_t b = bits_of(x);
  // mantissa in [sqrt(1/2), sqrt(2)): 0x3F3504F3 is sqrt(1/2)
  const int32_t e = static_cast<int32_t>(b - 0x3F3504F3U) >> 23;
  const double m = static_cast<double>(float_of(b - (static_cast<uint32_t>(e) << 23)));
  const double t = (m - 1.0) / (m + 1.0);
  const double t2 = t * t;
  double p = 1.0 / 15.0;
  p = p * t2 + 1.0 / 13.0;
  p = p * t2 + 1.0 / 11.0;
  p = p * t2 + 1.0 / 9.0;
  p = p * t2 + 1.0 / 7.0;
  p = p * t2 + 1.0 / 5.0;
  p = p * t2 + 1.0 / 3.0;
  p = p * t2 + 1.0;
  return static_cast<float>(static_cast<double>(e) * 0.69314718055994530942 + 2.0 * t * p);
}

CONCERTO_INLINE float half_to_float(uint16_t h) noexcept {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000U) << 16;
  const uint32_t exponent = (h >> 10) & 31U;
  const uint32_t mantissa = h & 1023U;
  if (exponent == 31) {  // inf, or NaN made quiet as the hardware does
    return float_of(sign | 0x7F800000U | (mantissa << 13) | (mantissa != 0 ? 0x00400000U : 0U));
  }
  if (exponent == 0) {  // zero and denormals: mantissa * 2^-24 is exact
    const float v = static_cast<float>(mantissa) * 0x1p-24F;
    return float_of(bits_of(v) | sign);
  }
  return float_of(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

CONCERTO_INLINE float bf16_to_float(uint16_t b) noexcept { return float_of(static_cast<uint32_t>(b) << 16); }

// The bf16 that attention computes with: see AttentionJob.
CONCERTO_INLINE uint16_t to_bf16(float x) noexcept {
  if (x != x) return 0;
  const float a = x < 0 ? -x : x;
  if (a < kBf16Tiny) return 0;
  if (x > kBf16Huge) x = kBf16Huge;
  if (x < -kBf16Huge) x = -kBf16Huge;
  const uint32_t b = bits_of(x);
  return static_cast<uint16_t>((b + 0x7FFFU + ((b >> 16) & 1U)) >> 16);
}

}  // namespace concerto::kernels
