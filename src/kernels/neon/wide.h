// Sixteen float lanes in four registers: what kernels/simd/vector_ops.h and attention.h are written in.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/math.h"
#include "kernels/simd/inline.h"

namespace concerto::kernels::neon {

struct Wide {
  struct F {
    float32x4_t v[4];  // lanes 0..3, 4..7, 8..11, 12..15
  };
  struct Bits {
    uint32x4_t v[4];
  };

  CONCERTO_FORCE_INLINE static F zero_f() noexcept { return set(0.0F); }
  CONCERTO_FORCE_INLINE static F set(float x) noexcept {
    const float32x4_t v = vdupq_n_f32(x);
    return {v, v, v, v};
  }
  CONCERTO_FORCE_INLINE static F load_f(const float* p) noexcept {
    return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
  }
  CONCERTO_FORCE_INLINE static F load_first(const float* p, int n) noexcept {
    float lanes[16] = {};
    for (int i = 0; i < n; ++i) lanes[i] = p[i];
    return load_f(lanes);
  }
  CONCERTO_FORCE_INLINE static F first(F a, int n) noexcept { return first_or(a, n, zero_f()); }
  // a in the first n lanes, b in the others.
  CONCERTO_FORCE_INLINE static F first_or(F a, int n, F b) noexcept {
    const int32x4_t lane = {0, 1, 2, 3};
    F r;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r.v[i] = vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n - 4 * i)), a.v[i], b.v[i]);
    return r;
  }
  CONCERTO_FORCE_INLINE static void store_f(float* p, F a) noexcept {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
  }
  CONCERTO_FORCE_INLINE static void store_first(float* p, F a, int n) noexcept {
    float lanes[16];
    store_f(lanes, a);
    for (int i = 0; i < n; ++i) p[i] = lanes[i];
  }
  CONCERTO_FORCE_INLINE static F add_f(F a, F b) noexcept {
    return each([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
  }
  CONCERTO_FORCE_INLINE static F sub_f(F a, F b) noexcept {
    return each([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
  }
  CONCERTO_FORCE_INLINE static F mul_f(F a, F b) noexcept {
    return each([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
  }
  CONCERTO_FORCE_INLINE static F div_f(F a, F b) noexcept {
    return each([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
  }
  CONCERTO_FORCE_INLINE static F fma(F a, F b, F c) noexcept {
    return each([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
  }
  CONCERTO_FORCE_INLINE static F negate_f(F a) noexcept {
    return each([&](int i) { return vnegq_f32(a.v[i]); });
  }
  // a > b ? a : b, b when either is NaN.
  CONCERTO_FORCE_INLINE static F max_f(F a, F b) noexcept {
    return each([&](int i) { return larger(a.v[i], b.v[i]); });
  }
  CONCERTO_FORCE_INLINE static F if_less(F a, F b, F yes, F no) noexcept {
    return each([&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), yes.v[i], no.v[i]); });
  }
  CONCERTO_FORCE_INLINE static F if_nan(F a, F yes, F no) noexcept {
    return each([&](int i) { return vbslq_f32(vceqq_f32(a.v[i], a.v[i]), no.v[i], yes.v[i]); });
  }
  // The nearest integer, half to even.
  CONCERTO_FORCE_INLINE static F round_even(F a) noexcept {
    return each([&](int i) { return vrndnq_f32(a.v[i]); });
  }
  // Adds the integer n to the exponent of p.
  CONCERTO_FORCE_INLINE static F times_pow2(F p, F n) noexcept {
    return each([&](int i) { return vreinterpretq_f32_s32(pow2_bits(p.v[i], n.v[i])); });
  }
  // p * 2^n where x >= low, else 0 (also for NaN).
  CONCERTO_FORCE_INLINE static F times_pow2_above(F p, F n, F x, F low) noexcept {
    return each([&](int i) {
      const uint32x4_t bits = vreinterpretq_u32_s32(pow2_bits(p.v[i], n.v[i]));
      return vreinterpretq_f32_u32(vandq_u32(bits, vcgeq_f32(x.v[i], low.v[i])));
    });
  }
  CONCERTO_FORCE_INLINE static float sum16(F a) noexcept {
    const float32x4_t four = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  CONCERTO_FORCE_INLINE static float max16(F a) noexcept {
    const float32x4_t four = larger(larger(a.v[0], a.v[2]), larger(a.v[1], a.v[3]));
    const float32x4_t two = larger(four, vextq_f32(four, four, 2));
    return vgetq_lane_f32(larger(two, vextq_f32(two, two, 1)), 0);
  }
  CONCERTO_FORCE_INLINE static float sqrt_scalar(float x) noexcept {
    return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0);
  }

  // --- quantising ---
  CONCERTO_FORCE_INLINE static Bits zero_bits() noexcept {
    const uint32x4_t zero = vdupq_n_u32(0);
    return {zero, zero, zero, zero};
  }
  CONCERTO_FORCE_INLINE static Bits magnitude_bits(const float* p) noexcept {
    Bits r;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r.v[i] = vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(p + 4 * i)));
    return r;
  }
  CONCERTO_FORCE_INLINE static Bits max_bits(Bits a, Bits b) noexcept {
    Bits r;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r.v[i] = vmaxq_u32(a.v[i], b.v[i]);
    return r;
  }
  CONCERTO_FORCE_INLINE static uint32_t max_of_bits(Bits a) noexcept {
    return vmaxvq_u32(vmaxq_u32(vmaxq_u32(a.v[0], a.v[1]), vmaxq_u32(a.v[2], a.v[3])));
  }
  // Rounds half to even, stores 16 bytes. |v| <= 127.
  CONCERTO_FORCE_INLINE static void store_rounded_bytes(int8_t* p, F a) noexcept {
    int16x4_t q[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) q[i] = vmovn_s32(vcvtnq_s32_f32(a.v[i]));
    vst1q_s8(p, vcombine_s8(vmovn_s16(vcombine_s16(q[0], q[1])), vmovn_s16(vcombine_s16(q[2], q[3]))));
  }
  // Of the 64 bytes at q: the sum of each 16; the sum of |q| of each 16, a lane each.
  CONCERTO_FORCE_INLINE static void sums_of_16s(const int8_t* q, int32_t* sums) noexcept {
    int32x4_t fours[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) fours[i] = vpaddlq_s16(vpaddlq_s8(vld1q_s8(q + 16 * i)));
    vst1q_s32(sums, vpaddq_s32(vpaddq_s32(fours[0], fours[1]), vpaddq_s32(fours[2], fours[3])));
  }
  CONCERTO_FORCE_INLINE static Bits magnitudes_of_16s(const int8_t* q) noexcept {
    Bits fours;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      fours.v[i] = vpaddlq_u16(vpaddlq_u8(vreinterpretq_u8_s8(vabsq_s8(vld1q_s8(q + 16 * i)))));
    }
    const uint32x4_t sums = vpaddq_u32(vpaddq_u32(fours.v[0], fours.v[1]), vpaddq_u32(fours.v[2], fours.v[3]));
    return {sums, sums, sums, sums};
  }

  // to_bf16 of math.h: 16 values to memory.
  CONCERTO_FORCE_INLINE static void store_bf16(uint16_t* p, F a) noexcept {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t kept = vcgeq_f32(vabsq_f32(a.v[i]), vdupq_n_f32(kBf16Tiny));  // false for NaN
      const float32x4_t bounded = vmaxq_f32(vminq_f32(a.v[i], vdupq_n_f32(kBf16Huge)), vdupq_n_f32(-kBf16Huge));
      vst1_u16(p + 4 * i, vshrn_n_u32(vandq_u32(rounded_bits(bounded), kept), 16));
    }
  }
  // v >= 0, 0 or >= 2^-48: rounded to bf16, as float.
  CONCERTO_FORCE_INLINE static F round_bf16(F a) noexcept {
    return each([&](int i) { return vreinterpretq_f32_u32(rounded_bits(a.v[i])); });
  }

 private:
  template <class Operation>
  CONCERTO_FORCE_INLINE static F each(Operation operation) noexcept {
    return {operation(0), operation(1), operation(2), operation(3)};
  }
  CONCERTO_FORCE_INLINE static float32x4_t larger(float32x4_t a, float32x4_t b) noexcept {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
  }
  CONCERTO_FORCE_INLINE static int32x4_t pow2_bits(float32x4_t p, float32x4_t n) noexcept {
    return vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vcvtnq_s32_f32(n), 23));
  }
  // Rounded to bf16, half to even: its 16 bits above 16 zeros.
  CONCERTO_FORCE_INLINE static uint32x4_t rounded_bits(float32x4_t a) noexcept {
    const uint32x4_t b = vreinterpretq_u32_f32(a);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(b, 16), vdupq_n_u32(1));
    return vandq_u32(vaddq_u32(vaddq_u32(b, vdupq_n_u32(0x7FFF)), odd), vdupq_n_u32(0xFFFF0000U));
  }
};

// Pairs of bf16 for attention: rows hold floats, a pair is split into its elements once and used for all rows.
struct Pairs : Wide {
  static constexpr int kRows =
      5;  // 5 sums of four registers, a pair of eight, two elements of a row: 29 of 32 registers
  static constexpr int kVectors = 1;
  using Row = float;
  struct Pair {
    F even;
    F odd;
  };

  CONCERTO_FORCE_INLINE static Pair load_pair(const uint16_t* p) noexcept {
    Pair r;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t both = vreinterpretq_u32_u16(vld1q_u16(p + 8 * i));
      r.even.v[i] = vreinterpretq_f32_u32(vshlq_n_u32(both, 16));
      r.odd.v[i] = vreinterpretq_f32_u32(vandq_u32(both, vdupq_n_u32(0xFFFF0000U)));
    }
    return r;
  }
  CONCERTO_FORCE_INLINE static Pair even_only(Pair p) noexcept { return {p.even, zero_f()}; }
  CONCERTO_FORCE_INLINE static F dot(F acc, Pair b, const Row* pair) noexcept {
    const float32x2_t row = vld1_f32(pair);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      acc.v[i] = vfmaq_lane_f32(vfmaq_lane_f32(acc.v[i], b.odd.v[i], row, 1), b.even.v[i], row, 0);
    }
    return acc;
  }
  CONCERTO_FORCE_INLINE static F store_row(Row* p, F a) noexcept {
    const F r = round_bf16(a);
    store_f(p, r);
    return r;
  }
  // 16 bf16 as row elements.
  CONCERTO_FORCE_INLINE static void widen_row(Row* p, const uint16_t* bf16) noexcept {
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      vst1q_f32(p + i, vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(bf16 + i)), 16)));
    }
  }
};

}  // namespace concerto::kernels::neon
