// The NEON primitives behind kernels/simd: one vector = 4 of a panel's 16 rows.
//
// The dot product instruction takes signed bytes on both sides (the mixed one, usdot, came later and is not needed):
// all weights but Q8_0's lie below 64 and are the same number signed, and Q8_0's have 128 subtracted, which is the
// file's value. Activations are read 4 or 8 bytes at a time, and a dot names the lane of that register that it
// multiplies by.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/simd/inline.h"

namespace concerto::kernels::neon {

struct Isa {
  static constexpr int kLanes = 4;
  static constexpr int kTokenTile = 8;  // 8 sums + 8 weighted sums + weights, masks and activations in 32 registers
  static constexpr bool kSignedBytes = true;  // dot_bytes multiplies byte - 128
  static constexpr bool kFastPairs =
      false;  // two multiply-adds of 32 bits are fewer than 16-bit products and their sums
  using F = float32x4_t;
  using I = int32x4_t;

  // --- integers ---
  CONCERTO_FORCE_INLINE static I zero() noexcept { return vdupq_n_s32(0); }
  CONCERTO_FORCE_INLINE static I load(const void* p) noexcept { return vld1q_s32(static_cast<const int32_t*>(p)); }
  CONCERTO_FORCE_INLINE static I set_bytes(int v) noexcept {
    return vreinterpretq_s32_s8(vdupq_n_s8(static_cast<int8_t>(v)));
  }
  CONCERTO_FORCE_INLINE static I broadcast(const int32_t* p) noexcept { return vld1q_dup_s32(p); }
  CONCERTO_FORCE_INLINE static I bit_and(I a, I b) noexcept { return vandq_s32(a, b); }
  // a | (b & mask)
  CONCERTO_FORCE_INLINE static I or_masked(I a, I b, I mask) noexcept { return vorrq_s32(a, vandq_s32(b, mask)); }
  template <int kBits>  // left for positive counts, right for negative
  CONCERTO_FORCE_INLINE static I shift(I a) noexcept {
    if constexpr (kBits > 0) return vshlq_n_s32(a, kBits);
    if constexpr (kBits < 0) return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), -kBits));
    return a;
  }
  CONCERTO_FORCE_INLINE static I add(I a, I b) noexcept { return vaddq_s32(a, b); }
  CONCERTO_FORCE_INLINE static I mul(I a, I b) noexcept { return vmulq_s32(a, b); }
  // Columns 0..3 and 4..7 behind x. Weights are below 64.
  CONCERTO_FORCE_INLINE static I dot_two(I acc, I low, I high, const int8_t* x) noexcept {
    const int8x8_t both = vld1_s8(x);
    return vdotq_lane_s32(vdotq_lane_s32(acc, bytes(low), both, 0), bytes(high), both, 1);
  }
  // Weights of all 8 bits; see kSignedBytes.
  CONCERTO_FORCE_INLINE static I dot_bytes(I acc, I w, const int8_t* x) noexcept {
    const auto four = vreinterpretq_s8_s32(vld1q_dup_s32(reinterpret_cast<const int32_t*>(x)));
    return vdotq_s32(acc, veorq_s8(bytes(w), vdupq_n_s8(-128)), four);
  }
  // Sum of 2 products of 16-bit pairs added to each lane.
  CONCERTO_FORCE_INLINE static I dot_pairs(I acc, I w, const int16_t* x) noexcept {
    return vmlaq_n_s32(vmlaq_n_s32(acc, even_of_pairs(w), x[0]), odd_of_pairs(w), x[1]);
  }
  // 4 byte pairs widened to 4 pairs of 16 bits; their halves as 32-bit lanes.
  CONCERTO_FORCE_INLINE static I load_pairs_unsigned(const uint8_t* p) noexcept {
    return vreinterpretq_s32_u16(vmovl_u8(vld1_u8(p)));
  }
  CONCERTO_FORCE_INLINE static I load_pairs_signed(const int8_t* p) noexcept {
    return vreinterpretq_s32_s16(vmovl_s8(vld1_s8(p)));
  }
  CONCERTO_FORCE_INLINE static I even_of_pairs(I a) noexcept { return vshrq_n_s32(vshlq_n_s32(a, 16), 16); }
  CONCERTO_FORCE_INLINE static I odd_of_pairs(I a) noexcept { return vshrq_n_s32(a, 16); }

  // --- floats ---
  CONCERTO_FORCE_INLINE static F zero_f() noexcept { return vdupq_n_f32(0.0F); }
  CONCERTO_FORCE_INLINE static F load_f(const float* p) noexcept { return vld1q_f32(p); }
  CONCERTO_FORCE_INLINE static F load_half(const uint16_t* p) noexcept {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
  }
  CONCERTO_FORCE_INLINE static F load_bf16(const uint16_t* p) noexcept {
    return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p)), 16));
  }
  CONCERTO_FORCE_INLINE static F broadcast_f(const float* p) noexcept { return vld1q_dup_f32(p); }
  CONCERTO_FORCE_INLINE static void store_f(float* p, F a) noexcept { vst1q_f32(p, a); }
  CONCERTO_FORCE_INLINE static void store_first(float* p, F a, int n) noexcept {
    float all[kLanes];
    vst1q_f32(all, a);
    for (int i = 0; i < n; ++i) p[i] = all[i];
  }
  CONCERTO_FORCE_INLINE static F to_float(I a) noexcept { return vcvtq_f32_s32(a); }
  CONCERTO_FORCE_INLINE static F add_f(F a, F b) noexcept { return vaddq_f32(a, b); }
  CONCERTO_FORCE_INLINE static F mul_f(F a, F b) noexcept { return vmulq_f32(a, b); }
  CONCERTO_FORCE_INLINE static F mul_broadcast(F a, const float* p) noexcept { return vmulq_n_f32(a, *p); }
  CONCERTO_FORCE_INLINE static F fma(F a, F b, F c) noexcept { return vfmaq_f32(c, a, b); }
  CONCERTO_FORCE_INLINE static F fnma(F a, F b, F c) noexcept { return vfmsq_f32(c, a, b); }  // c - a * b

 private:
  CONCERTO_FORCE_INLINE static int8x16_t bytes(I a) noexcept { return vreinterpretq_s8_s32(a); }
};

}  // namespace concerto::kernels::neon
