// Attention's pairs on processors with AVX512_BF16; for files built with that flag too.
#pragma once

#include "kernels/avx512/wide.h"

namespace concerto::kernels::avx512 {

// Pairs of bf16 for attention, multiplied by the AVX512_BF16 instruction. It sums a pair odd element first, each step a
// fused multiply-add; the ranges that to_bf16 leaves keep its flushing of denormals out of sight.
struct PairsBf16 : Wide {
  static constexpr int kRows = 6;  // rows x vectors of sums, and as many vectors of the other side, fill 32 registers
  static constexpr int kVectors = 4;
  using Row = uint16_t;  // a row holds bf16, a pair is one dword
  using Pair = __m512i;

  CONCERTO_FORCE_INLINE static Pair load_pair(const uint16_t* p) noexcept { return _mm512_load_si512(p); }
  CONCERTO_FORCE_INLINE static Pair even_only(Pair p) noexcept {
    return _mm512_and_si512(p, _mm512_set1_epi32(0xFFFF));
  }
  CONCERTO_FORCE_INLINE static F dot(F acc, Pair b, const Row* pair) noexcept {
    asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*reinterpret_cast<const uint32_t*>(pair)));
    return acc;
  }
  // Stores 16 weights in [0, 1] rounded to bf16, returns them rounded.
  CONCERTO_FORCE_INLINE static F store_row(Row* p, F v) noexcept {
    const __m256i b = (__m256i)_mm512_cvtneps_pbh(v);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), b);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
  }
  // 16 bf16 as row elements.
  CONCERTO_FORCE_INLINE static void widen_row(Row* p, const uint16_t* bf16) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bf16)));
  }
};

}  // namespace concerto::kernels::avx512
