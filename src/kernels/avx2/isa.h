// The AVX2 primitives behind kernels/simd: one vector = 8 of a panel's 16 rows. kVnni: with AVX-VNNI's 256-bit
// vpdpbusd.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/math.h"
#include "kernels/simd/inline.h"

namespace concerto::kernels::avx2 {

template <bool kVnni>
struct Isa {
  static constexpr int kLanes = 8;
  static constexpr int kTokenTile = 4;  // 4 sums + 4 weighted sums + weights, masks and products in 16 registers
  static constexpr bool kSignedBytes = !kVnni;  // without VNNI dot_bytes multiplies byte - 128
  static constexpr bool kFastPairs = true;      // dot_halves costs less than two products of 32 bits
  using F = __m256;
  using I = __m256i;

  // --- integers ---
  CONCERTO_FORCE_INLINE static I zero() noexcept { return _mm256_setzero_si256(); }
  CONCERTO_FORCE_INLINE static I load(const void* p) noexcept {
    return _mm256_load_si256(static_cast<const __m256i*>(p));
  }
  CONCERTO_FORCE_INLINE static I set_bytes(int v) noexcept { return _mm256_set1_epi8(static_cast<char>(v)); }
  CONCERTO_FORCE_INLINE static I broadcast(const int32_t* p) noexcept { return _mm256_set1_epi32(*p); }
  CONCERTO_FORCE_INLINE static I bit_and(I a, I b) noexcept { return _mm256_and_si256(a, b); }
  // a | (b & mask)
  CONCERTO_FORCE_INLINE static I or_masked(I a, I b, I mask) noexcept {
    return _mm256_or_si256(a, _mm256_and_si256(b, mask));
  }
  template <int kBits>  // left for positive counts, right for negative
  CONCERTO_FORCE_INLINE static I shift(I a) noexcept {
    if constexpr (kBits > 0) return _mm256_slli_epi32(a, kBits);
    if constexpr (kBits < 0) return _mm256_srli_epi32(a, -kBits);
    return a;
  }
  CONCERTO_FORCE_INLINE static I add(I a, I b) noexcept { return _mm256_add_epi32(a, b); }
  CONCERTO_FORCE_INLINE static I mul(I a, I b) noexcept { return _mm256_mullo_epi32(a, b); }
  // Columns 0..3 and 4..7 behind x. Weights are below 64: four products fit 16 bits (4 * 63 * 127 = 32004).
  CONCERTO_FORCE_INLINE static I dot_two(I acc, I low, I high, const int8_t* x) noexcept {
    if constexpr (kVnni) {
      return dot_vnni(dot_vnni(acc, low, x), high, x + 4);
    } else {
      const I products = _mm256_add_epi16(_mm256_maddubs_epi16(low, broadcast_bytes(x)),
                                          _mm256_maddubs_epi16(high, broadcast_bytes(x + 4)));
      return _mm256_add_epi32(acc, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
    }
  }
  // Weights of all 8 bits; see kSignedBytes. |w - 128| * |x| twice is at most 2 * 128 * 127 = 32512: no saturation.
  CONCERTO_FORCE_INLINE static I dot_bytes(I acc, I w, const int8_t* x) noexcept {
    if constexpr (kVnni) {
      return dot_vnni(acc, w, x);
    } else {
      const I s = _mm256_xor_si256(w, set_bytes(-128));
      const I products = _mm256_maddubs_epi16(_mm256_abs_epi8(s), _mm256_sign_epi8(broadcast_bytes(x), s));
      return _mm256_add_epi32(acc, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
    }
  }
  // Sum of 2 products of 16-bit pairs added to each lane.
  CONCERTO_FORCE_INLINE static I dot_pairs(I acc, I w, const int16_t* x) noexcept {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(w, broadcast(reinterpret_cast<const int32_t*>(x))));
  }
  // The lower 16 bits of the lanes of a and b side by side; their products with a pair of w, added to each lane.
  CONCERTO_FORCE_INLINE static I pair(I a, I b) noexcept {
    return _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xAA);
  }
  CONCERTO_FORCE_INLINE static I dot_halves(I acc, I w, I x) noexcept {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(w, x));
  }
  // 8 byte pairs widened to 8 pairs of 16 bits; their halves as 32-bit lanes.
  CONCERTO_FORCE_INLINE static I load_pairs_unsigned(const uint8_t* p) noexcept {
    return _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  CONCERTO_FORCE_INLINE static I load_pairs_signed(const int8_t* p) noexcept {
    return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
  }
  CONCERTO_FORCE_INLINE static I even_of_pairs(I a) noexcept { return _mm256_srai_epi32(_mm256_slli_epi32(a, 16), 16); }
  CONCERTO_FORCE_INLINE static I odd_of_pairs(I a) noexcept { return _mm256_srai_epi32(a, 16); }

  // --- floats ---
  CONCERTO_FORCE_INLINE static F zero_f() noexcept { return _mm256_setzero_ps(); }
  CONCERTO_FORCE_INLINE static F load_f(const float* p) noexcept { return _mm256_loadu_ps(p); }
  CONCERTO_FORCE_INLINE static F load_half(const uint16_t* p) noexcept {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  CONCERTO_FORCE_INLINE static F load_bf16(const uint16_t* p) noexcept {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
  }
  CONCERTO_FORCE_INLINE static F broadcast_f(const float* p) noexcept { return _mm256_set1_ps(*p); }
  CONCERTO_FORCE_INLINE static void store_f(float* p, F a) noexcept { _mm256_storeu_ps(p, a); }
  CONCERTO_FORCE_INLINE static void store_first(float* p, F a, int n) noexcept {
    const I lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane), a);
  }
  CONCERTO_FORCE_INLINE static F to_float(I a) noexcept { return _mm256_cvtepi32_ps(a); }
  CONCERTO_FORCE_INLINE static F add_f(F a, F b) noexcept { return _mm256_add_ps(a, b); }
  CONCERTO_FORCE_INLINE static F mul_f(F a, F b) noexcept { return _mm256_mul_ps(a, b); }
  CONCERTO_FORCE_INLINE static F mul_broadcast(F a, const float* p) noexcept {
    return _mm256_mul_ps(a, broadcast_f(p));
  }
  CONCERTO_FORCE_INLINE static F fma(F a, F b, F c) noexcept { return _mm256_fmadd_ps(a, b, c); }
  CONCERTO_FORCE_INLINE static F fnma(F a, F b, F c) noexcept { return _mm256_fnmadd_ps(a, b, c); }  // c - a * b

 private:
  CONCERTO_FORCE_INLINE static I broadcast_bytes(const int8_t* x) noexcept {
    return broadcast(reinterpret_cast<const int32_t*>(x));
  }
  CONCERTO_FORCE_INLINE static I dot_vnni(I acc, I w, const int8_t* x) noexcept {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(w), "x"(broadcast_bytes(x)));
    return acc;
  }
};

}  // namespace concerto::kernels::avx2
