// The AVX-512 (F, BW, VL, DQ, VNNI) primitives behind kernels/simd: one vector = 16 rows, lanes or positions.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/math.h"
#include "kernels/simd/inline.h"

namespace concerto::kernels::avx512 {

struct Isa {
  static constexpr int kLanes = 16;
  // Register tiles: tokens whose sums fit the 32 registers beside weights and constants.
  static constexpr int kTokenTile = 8;
  static constexpr bool kSignedBytes = false;  // dot_bytes multiplies the unsigned bytes as they are stored
  static constexpr bool kFastPairs = true;     // dot_halves costs less than two products of 32 bits
  using F = __m512;
  using I = __m512i;

  // --- integers ---
  CONCERTO_FORCE_INLINE static I zero() noexcept { return _mm512_setzero_si512(); }
  CONCERTO_FORCE_INLINE static I load(const void* p) noexcept { return _mm512_load_si512(p); }
  CONCERTO_FORCE_INLINE static I set_bytes(int v) noexcept { return _mm512_set1_epi8(static_cast<char>(v)); }
  CONCERTO_FORCE_INLINE static I broadcast(const int32_t* p) noexcept { return _mm512_set1_epi32(*p); }
  CONCERTO_FORCE_INLINE static I bit_and(I a, I b) noexcept { return _mm512_and_si512(a, b); }
  // a | (b & mask)
  CONCERTO_FORCE_INLINE static I or_masked(I a, I b, I mask) noexcept {
    return _mm512_ternarylogic_epi32(a, b, mask, 0xF8);
  }
  template <int kBits>  // left for positive counts, right for negative
  CONCERTO_FORCE_INLINE static I shift(I a) noexcept {
    if constexpr (kBits > 0) return _mm512_slli_epi32(a, kBits);
    if constexpr (kBits < 0) return _mm512_srli_epi32(a, -kBits);
    return a;
  }
  CONCERTO_FORCE_INLINE static I negate(I a) noexcept { return _mm512_sub_epi32(zero(), a); }
  CONCERTO_FORCE_INLINE static I add(I a, I b) noexcept { return _mm512_add_epi32(a, b); }
  CONCERTO_FORCE_INLINE static I mul(I a, I b) noexcept { return _mm512_mullo_epi32(a, b); }
  // Sum of 4 products unsigned w x signed x added to each lane; x is one dword for all lanes. The memory operand is
  // free; g++ 12 does not fold it by itself.
  CONCERTO_FORCE_INLINE static I dot(I acc, I w, const int8_t* x) noexcept {
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(w), "m"(*reinterpret_cast<const int32_t*>(x)));
    return acc;
  }
  // Columns 0..3 and 4..7 behind x. The weights of low and high are below 64.
  CONCERTO_FORCE_INLINE static I dot_two(I acc, I low, I high, const int8_t* x) noexcept {
    return dot(dot(acc, low, x), high, x + 4);
  }
  // Weights of all 8 bits.
  CONCERTO_FORCE_INLINE static I dot_bytes(I acc, I w, const int8_t* x) noexcept { return dot(acc, w, x); }
  // Sum of 2 products of 16-bit pairs added to each lane.
  CONCERTO_FORCE_INLINE static I dot_pairs(I acc, I w, const int16_t* x) noexcept {
    asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(w), "m"(*reinterpret_cast<const int32_t*>(x)));
    return acc;
  }
  // The lower 16 bits of the lanes of a and b side by side; their products with a pair of w, added to each lane.
  CONCERTO_FORCE_INLINE static I pair(I a, I b) noexcept {
    return _mm512_mask_blend_epi16(0xAAAAAAAA, a, _mm512_slli_epi32(b, 16));
  }
  CONCERTO_FORCE_INLINE static I dot_halves(I acc, I w, I x) noexcept { return _mm512_dpwssd_epi32(acc, w, x); }
  // 16 byte pairs widened to 16 pairs of 16 bits; their halves as 32-bit lanes.
  CONCERTO_FORCE_INLINE static I load_pairs_unsigned(const uint8_t* p) noexcept {
    return _mm512_cvtepu8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
  }
  CONCERTO_FORCE_INLINE static I load_pairs_signed(const int8_t* p) noexcept {
    return _mm512_cvtepi8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
  }
  CONCERTO_FORCE_INLINE static I even_of_pairs(I a) noexcept { return _mm512_srai_epi32(_mm512_slli_epi32(a, 16), 16); }
  CONCERTO_FORCE_INLINE static I odd_of_pairs(I a) noexcept { return _mm512_srai_epi32(a, 16); }

  // --- floats ---
  CONCERTO_FORCE_INLINE static F zero_f() noexcept { return _mm512_setzero_ps(); }
  CONCERTO_FORCE_INLINE static F load_f(const float* p) noexcept { return _mm512_loadu_ps(p); }
  CONCERTO_FORCE_INLINE static F load_half(const uint16_t* p) noexcept {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  CONCERTO_FORCE_INLINE static F load_bf16(const uint16_t* p) noexcept {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
  }
  CONCERTO_FORCE_INLINE static F broadcast_f(const float* p) noexcept { return _mm512_set1_ps(*p); }
  CONCERTO_FORCE_INLINE static void store_f(float* p, F a) noexcept { _mm512_storeu_ps(p, a); }
  CONCERTO_FORCE_INLINE static void store_first(float* p, F a, int n) noexcept {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1U << n) - 1U), a);
  }
  CONCERTO_FORCE_INLINE static F to_float(I a) noexcept { return _mm512_cvtepi32_ps(a); }
  CONCERTO_FORCE_INLINE static F add_f(F a, F b) noexcept { return _mm512_add_ps(a, b); }
  CONCERTO_FORCE_INLINE static F mul_f(F a, F b) noexcept { return _mm512_mul_ps(a, b); }
  CONCERTO_FORCE_INLINE static F mul_broadcast(F a, const float* p) noexcept {
    return _mm512_mul_ps(a, broadcast_f(p));
  }
  CONCERTO_FORCE_INLINE static F fma(F a, F b, F c) noexcept { return _mm512_fmadd_ps(a, b, c); }
  CONCERTO_FORCE_INLINE static F fnma(F a, F b, F c) noexcept { return _mm512_fnmadd_ps(a, b, c); }  // c - a * b
};

}  // namespace concerto::kernels::avx512
