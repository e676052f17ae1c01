// exp(t) for t <= 0, for loops over the whole vocabulary: branch-free, multiplications and additions only (no fma, no
// libm), so that any compiler vectorises it for any instruction set and each gives the same bits.
//
// t = n ln2 + r, |r| <= ln2 / 2; exp(r) by its Taylor series up to r^7 (error 5e-9); relative error below 2^-22.
// Zero below -87, where the result would leave the normal range: an e^-87 share of a probability is nothing.
// A NaN gives an unspecified number: callers detect NaN themselves.
#pragma once

#include <bit>
#include <cstdint>

namespace concerto::engine {

static inline __attribute__((always_inline)) float lane_exp(float t) noexcept {
  constexpr float kLog2E = 1.44269504F;
  constexpr float kRound = 12582912.0F;       // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
  constexpr float kLn2High = 0.693359375F;    // 9 bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4F;  // ln2 - kLn2High
  const float shifted = t * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (t - n * kLn2High) - n * kLn2Low;
  float p = 1.0F / 5040.0F;
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const uint32_t e = std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23);
  const uint32_t keep = t >= -87.0F ? ~0U : 0U;  // a mask: a choice of floats would become a branch
  return std::bit_cast<float>(e & keep);
}

}  // namespace concerto::engine
