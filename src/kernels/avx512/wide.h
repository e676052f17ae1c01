// Sixteen float lanes in one register: what kernels/simd/vector_ops.h and attention.h are written in.
#pragma once

#include "kernels/avx512/isa.h"

namespace concerto::kernels::avx512 {

struct Wide {
  using F = __m512;
  using Bits = __m512i;

  CONCERTO_FORCE_INLINE static F zero_f() noexcept { return _mm512_setzero_ps(); }
  CONCERTO_FORCE_INLINE static F set(float v) noexcept { return _mm512_set1_ps(v); }
  CONCERTO_FORCE_INLINE static F load_f(const float* p) noexcept { return _mm512_loadu_ps(p); }
  CONCERTO_FORCE_INLINE static F load_first(const float* p, int n) noexcept {
    return _mm512_maskz_loadu_ps(mask_first(n), p);
  }
  CONCERTO_FORCE_INLINE static F first(F a, int n) noexcept { return _mm512_maskz_mov_ps(mask_first(n), a); }
  // a in the first n lanes, b in the others.
  CONCERTO_FORCE_INLINE static F first_or(F a, int n, F b) noexcept {
    return _mm512_mask_blend_ps(mask_first(n), b, a);
  }
  CONCERTO_FORCE_INLINE static void store_f(float* p, F a) noexcept { _mm512_storeu_ps(p, a); }
  CONCERTO_FORCE_INLINE static void store_first(float* p, F a, int n) noexcept {
    _mm512_mask_storeu_ps(p, mask_first(n), a);
  }
  CONCERTO_FORCE_INLINE static F add_f(F a, F b) noexcept { return _mm512_add_ps(a, b); }
  CONCERTO_FORCE_INLINE static F sub_f(F a, F b) noexcept { return _mm512_sub_ps(a, b); }
  CONCERTO_FORCE_INLINE static F mul_f(F a, F b) noexcept { return _mm512_mul_ps(a, b); }
  CONCERTO_FORCE_INLINE static F div_f(F a, F b) noexcept { return _mm512_div_ps(a, b); }
  CONCERTO_FORCE_INLINE static F fma(F a, F b, F c) noexcept { return _mm512_fmadd_ps(a, b, c); }
  CONCERTO_FORCE_INLINE static F negate_f(F a) noexcept { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0F)); }
  // a > b ? a : b, b when either is NaN.
  CONCERTO_FORCE_INLINE static F max_f(F a, F b) noexcept { return _mm512_max_ps(a, b); }
  CONCERTO_FORCE_INLINE static F if_less(F a, F b, F yes, F no) noexcept {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
  }
  CONCERTO_FORCE_INLINE static F if_nan(F a, F yes, F no) noexcept {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), no, yes);
  }
  // The nearest integer, half to even.
  CONCERTO_FORCE_INLINE static F round_even(F a) noexcept { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT); }
  // p * 2^n where x >= low, else 0 (also for NaN); exact for the normal results that the caller has.
  CONCERTO_FORCE_INLINE static F times_pow2_above(F p, F n, F x, F low) noexcept {
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, low, _CMP_GE_OQ), p, n);
  }
  // Adds the integer n to the exponent of p.
  CONCERTO_FORCE_INLINE static F times_pow2(F p, F n) noexcept {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23)));
  }
  CONCERTO_FORCE_INLINE static float sum16(F a) noexcept {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  CONCERTO_FORCE_INLINE static float max16(F a) noexcept {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  CONCERTO_FORCE_INLINE static float sqrt_scalar(float v) noexcept { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(v))); }

  // --- quantising ---
  CONCERTO_FORCE_INLINE static Bits zero_bits() noexcept { return _mm512_setzero_si512(); }
  CONCERTO_FORCE_INLINE static Bits magnitude_bits(const float* p) noexcept {
    return _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi32(0x7FFFFFFF));
  }
  CONCERTO_FORCE_INLINE static Bits max_bits(Bits a, Bits b) noexcept { return _mm512_max_epu32(a, b); }
  CONCERTO_FORCE_INLINE static uint32_t max_of_bits(Bits a) noexcept { return _mm512_reduce_max_epu32(a); }
  // Rounds half to even, stores 16 bytes.
  CONCERTO_FORCE_INLINE static void store_rounded_bytes(int8_t* p, F v) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
  }
  // Of the 64 bytes at q: the sum of each 16; the sum of |q| of each 16 in some lane, other lanes at most that.
  CONCERTO_FORCE_INLINE static void sums_of_16s(const int8_t* q, int32_t* sums) noexcept {
    const __m512i raised = _mm512_xor_si512(_mm512_loadu_si512(q), _mm512_set1_epi8(-128));  // q + 128, unsigned
    const __m512i eights = _mm512_sad_epu8(raised, _mm512_setzero_si512());
    const __m512i all = _mm512_add_epi32(eights, _mm512_shuffle_epi32(eights, _MM_PERM_BADC));
    const __m128i four = _mm512_castsi512_si128(_mm512_maskz_compress_epi32(0x1111, all));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(sums), _mm_sub_epi32(four, _mm_set1_epi32(16 * 128)));
  }
  CONCERTO_FORCE_INLINE static Bits magnitudes_of_16s(const int8_t* q) noexcept {
    const __m512i eights = _mm512_sad_epu8(_mm512_abs_epi8(_mm512_loadu_si512(q)), _mm512_setzero_si512());
    return _mm512_add_epi32(eights, _mm512_shuffle_epi32(eights, _MM_PERM_BADC));
  }

  // --- bf16 ---
  // Bits of v rounded to bf16 (to_bf16 for values already in range), in the upper halves of the lanes.
  CONCERTO_FORCE_INLINE static Bits bf16_bits(F v) noexcept {
    const __m512i b = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_add_epi32(b, _mm512_set1_epi32(0x7FFF)), odd);
  }
  // to_bf16 of math.h: 16 values to memory.
  CONCERTO_FORCE_INLINE static void store_bf16(uint16_t* p, F v) noexcept {
    const F a = _mm512_abs_ps(v);
    const __mmask16 kept = _mm512_cmp_ps_mask(a, _mm512_set1_ps(kBf16Tiny), _CMP_GE_OQ);  // false for NaN
    const F bounded = _mm512_max_ps(_mm512_min_ps(v, _mm512_set1_ps(kBf16Huge)), _mm512_set1_ps(-kBf16Huge));
    const __m512i b = _mm512_maskz_srli_epi32(kept, bf16_bits(bounded), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(b));
  }
  // v >= 0, 0 or >= 2^-48: rounded to bf16, as float.
  CONCERTO_FORCE_INLINE static F round_bf16(F v) noexcept {
    return _mm512_castsi512_ps(_mm512_and_si512(bf16_bits(v), _mm512_set1_epi32(static_cast<int>(0xFFFF0000U))));
  }

 private:
  CONCERTO_FORCE_INLINE static __mmask16 mask_first(int n) noexcept { return static_cast<__mmask16>((1U << n) - 1U); }
};

// Pairs of bf16 for attention without AVX512_BF16: rows hold floats, a pair is split into its elements once and used
// for all rows.
struct PairsFma : Wide {
  static constexpr int kRows = 6;
  static constexpr int kVectors = 3;
  using Row = float;
  struct Pair {
    F even;
    F odd;
  };

  CONCERTO_FORCE_INLINE static Pair load_pair(const uint16_t* p) noexcept {
    const __m512i v = _mm512_load_si512(p);
    return {_mm512_castsi512_ps(_mm512_slli_epi32(v, 16)),
            _mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U))))};
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
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bf16));
    store_f(p, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)));
  }
};

}  // namespace concerto::kernels::avx512
