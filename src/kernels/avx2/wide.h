// Sixteen float lanes in two registers: what kernels/simd/vector_ops.h and attention.h are written in.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/math.h"
#include "kernels/simd/inline.h"

namespace concerto::kernels::avx2 {

struct Wide {
  struct F {
    __m256 low;
    __m256 high;
  };
  struct Bits {
    __m256i low;
    __m256i high;
  };

  CONCERTO_FORCE_INLINE static F zero_f() noexcept { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  CONCERTO_FORCE_INLINE static F set(float v) noexcept { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
  CONCERTO_FORCE_INLINE static F load_f(const float* p) noexcept {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  CONCERTO_FORCE_INLINE static F load_first(const float* p, int n) noexcept {
    const Bits m = mask_first(n);
    return {_mm256_maskload_ps(p, m.low), _mm256_maskload_ps(p + 8, m.high)};
  }
  CONCERTO_FORCE_INLINE static F first(F a, int n) noexcept { return first_or(a, n, zero_f()); }
  // a in the first n lanes, b in the others.
  CONCERTO_FORCE_INLINE static F first_or(F a, int n, F b) noexcept {
    const Bits m = mask_first(n);
    return {_mm256_blendv_ps(b.low, a.low, _mm256_castsi256_ps(m.low)),
            _mm256_blendv_ps(b.high, a.high, _mm256_castsi256_ps(m.high))};
  }
  CONCERTO_FORCE_INLINE static void store_f(float* p, F a) noexcept {
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
  }
  CONCERTO_FORCE_INLINE static void store_first(float* p, F a, int n) noexcept {
    const Bits m = mask_first(n);
    _mm256_maskstore_ps(p, m.low, a.low);
    _mm256_maskstore_ps(p + 8, m.high, a.high);
  }
  CONCERTO_FORCE_INLINE static F add_f(F a, F b) noexcept {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  CONCERTO_FORCE_INLINE static F sub_f(F a, F b) noexcept {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  CONCERTO_FORCE_INLINE static F mul_f(F a, F b) noexcept {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  CONCERTO_FORCE_INLINE static F div_f(F a, F b) noexcept {
    return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
  }
  CONCERTO_FORCE_INLINE static F fma(F a, F b, F c) noexcept {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  CONCERTO_FORCE_INLINE static F negate_f(F a) noexcept {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
  }
  // a > b ? a : b, b when either is NaN.
  CONCERTO_FORCE_INLINE static F max_f(F a, F b) noexcept {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  CONCERTO_FORCE_INLINE static F if_less(F a, F b, F yes, F no) noexcept {
    return {_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
            _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
  }
  CONCERTO_FORCE_INLINE static F if_nan(F a, F yes, F no) noexcept {
    return {_mm256_blendv_ps(no.low, yes.low, _mm256_cmp_ps(a.low, a.low, _CMP_UNORD_Q)),
            _mm256_blendv_ps(no.high, yes.high, _mm256_cmp_ps(a.high, a.high, _CMP_UNORD_Q))};
  }
  // The nearest integer, half to even.
  CONCERTO_FORCE_INLINE static F round_even(F a) noexcept {
    return {_mm256_round_ps(a.low, _MM_FROUND_TO_NEAREST_INT), _mm256_round_ps(a.high, _MM_FROUND_TO_NEAREST_INT)};
  }
  // Adds the integer n to the exponent of p.
  CONCERTO_FORCE_INLINE static F times_pow2(F p, F n) noexcept {
    return {times_pow2(p.low, n.low), times_pow2(p.high, n.high)};
  }
  // p * 2^n where x >= low, else 0 (also for NaN).
  CONCERTO_FORCE_INLINE static F times_pow2_above(F p, F n, F x, F low) noexcept {
    return {_mm256_and_ps(times_pow2(p.low, n.low), _mm256_cmp_ps(x.low, low.low, _CMP_GE_OQ)),
            _mm256_and_ps(times_pow2(p.high, n.high), _mm256_cmp_ps(x.high, low.high, _CMP_GE_OQ))};
  }
  CONCERTO_FORCE_INLINE static float sum16(F a) noexcept {
    const __m256 eight = _mm256_add_ps(a.low, a.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  CONCERTO_FORCE_INLINE static float max16(F a) noexcept {
    const __m256 eight = _mm256_max_ps(a.low, a.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  CONCERTO_FORCE_INLINE static float sqrt_scalar(float v) noexcept { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))); }

  // --- quantising ---
  CONCERTO_FORCE_INLINE static Bits zero_bits() noexcept { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  CONCERTO_FORCE_INLINE static Bits magnitude_bits(const float* p) noexcept {
    const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
    return {_mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), mask),
            _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8)), mask)};
  }
  CONCERTO_FORCE_INLINE static Bits max_bits(Bits a, Bits b) noexcept {
    return {_mm256_max_epu32(a.low, b.low), _mm256_max_epu32(a.high, b.high)};
  }
  CONCERTO_FORCE_INLINE static uint32_t max_of_bits(Bits a) noexcept {
    const __m256i eight = _mm256_max_epu32(a.low, a.high);
    __m128i v = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    v = _mm_max_epu32(v, _mm_shuffle_epi32(v, 0x4E));
    v = _mm_max_epu32(v, _mm_shuffle_epi32(v, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(v));
  }
  // Rounds half to even, stores 16 bytes. |v| <= 127.
  CONCERTO_FORCE_INLINE static void store_rounded_bytes(int8_t* p, F v) noexcept {
    const __m256i low = _mm256_cvtps_epi32(v.low);
    const __m256i high = _mm256_cvtps_epi32(v.high);
    const __m128i a = _mm_packs_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    const __m128i b = _mm_packs_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(a, b));
  }
  // Of the 64 bytes at q: the sum of each 16; the sum of |q| of each 16 in some lane, other lanes at most that.
  CONCERTO_FORCE_INLINE static void sums_of_16s(const int8_t* q, int32_t* sums) noexcept {
    const __m256i raise = _mm256_set1_epi8(-128);                        // q + 128, unsigned
    const __m256i a = of_16s(_mm256_xor_si256(load_32(q), raise));       // 0, 0, 1, 1 as 64-bit lanes
    const __m256i b = of_16s(_mm256_xor_si256(load_32(q + 32), raise));  // 2, 2, 3, 3
    const __m256i all = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
    const __m128i four = _mm_blend_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1), 0xA);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(sums), _mm_sub_epi32(four, _mm_set1_epi32(16 * 128)));
  }
  CONCERTO_FORCE_INLINE static Bits magnitudes_of_16s(const int8_t* q) noexcept {
    return {of_16s(_mm256_abs_epi8(load_32(q))), of_16s(_mm256_abs_epi8(load_32(q + 32)))};
  }

  // to_bf16 of math.h: 16 values to memory.
  CONCERTO_FORCE_INLINE static void store_bf16(uint16_t* p, F v) noexcept {
    const __m256i packed = _mm256_packus_epi32(bf16_low(v.low), bf16_low(v.high));  // in each 128-bit half: low, high
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xD8));
  }
  // v >= 0, 0 or >= 2^-48: rounded to bf16, as float.
  CONCERTO_FORCE_INLINE static F round_bf16(F v) noexcept { return {round_bf16(v.low), round_bf16(v.high)}; }

 private:
  CONCERTO_FORCE_INLINE static __m256i load_32(const int8_t* q) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q));
  }
  // The sum of each 16 unsigned bytes, twice.
  CONCERTO_FORCE_INLINE static __m256i of_16s(__m256i bytes) noexcept {
    const __m256i eights = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
    return _mm256_add_epi32(eights, _mm256_shuffle_epi32(eights, 0x4E));
  }
  CONCERTO_FORCE_INLINE static __m256i bf16_low(__m256 v) noexcept {
    const __m256 a = _mm256_andnot_ps(_mm256_set1_ps(-0.0F), v);
    const __m256 kept = _mm256_cmp_ps(a, _mm256_set1_ps(kBf16Tiny), _CMP_GE_OQ);  // false for NaN
    const __m256 bounded = _mm256_max_ps(_mm256_min_ps(v, _mm256_set1_ps(kBf16Huge)), _mm256_set1_ps(-kBf16Huge));
    return _mm256_srli_epi32(_mm256_castps_si256(_mm256_and_ps(round_bf16(bounded), kept)), 16);
  }
  CONCERTO_FORCE_INLINE static __m256 times_pow2(__m256 p, __m256 n) noexcept {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
  }
  CONCERTO_FORCE_INLINE static __m256 round_bf16(__m256 v) noexcept {
    const __m256i b = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
    const __m256i r = _mm256_add_epi32(_mm256_add_epi32(b, _mm256_set1_epi32(0x7FFF)), odd);
    return _mm256_castsi256_ps(_mm256_and_si256(r, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U))));
  }
  CONCERTO_FORCE_INLINE static Bits mask_first(int n) noexcept {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return {_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane), _mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), lane)};
  }
};

// Pairs of bf16 for attention: rows hold floats, a pair is split into its elements once and used for all rows.
struct Pairs : Wide {
  static constexpr int kRows = 5;  // 5 sums of two registers, a pair of four, one broadcast: 15 of 16 registers
  static constexpr int kVectors = 1;
  using Row = float;
  struct Pair {
    F even;
    F odd;
  };

  CONCERTO_FORCE_INLINE static Pair load_pair(const uint16_t* p) noexcept {
    const auto* v = reinterpret_cast<const __m256i*>(p);
    const __m256i a = _mm256_load_si256(v);
    const __m256i b = _mm256_load_si256(v + 1);
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xFFFF0000U));
    return {{_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))},
            {_mm256_castsi256_ps(_mm256_and_si256(a, upper)), _mm256_castsi256_ps(_mm256_and_si256(b, upper))}};
  }
  CONCERTO_FORCE_INLINE static Pair even_only(Pair p) noexcept { return {p.even, zero_f()}; }
  CONCERTO_FORCE_INLINE static F dot(F acc, Pair b, const Row* pair) noexcept {
    return fma(b.even, set(pair[0]), fma(b.odd, set(pair[1]), acc));
  }
  CONCERTO_FORCE_INLINE static F store_row(Row* p, F v) noexcept {
    const F r = round_bf16(v);
    store_f(p, r);
    return r;
  }
  // 16 bf16 as row elements.
  CONCERTO_FORCE_INLINE static void widen_row(Row* p, const uint16_t* bf16) noexcept {
    for (int half = 0; half < 16; half += 8) {
      const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bf16 + half));
      _mm256_storeu_ps(p + half, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16)));
    }
  }
};

}  // namespace concerto::kernels::avx2
