// The search of every block encoder: the scale (and offset) that reproduce a group of weights with the least weighted
// squared error. Internal to quant/.
//
// Method: quantise with a few trial scales around the one that just covers the range, fit scale and offset to the
// resulting integers by weighted least squares, requantise, keep the best. The idea is that of llama.cpp's
// make_qx_quants / make_qkx2_quants; the code is this project's own. All arithmetic is plain float in a fixed order
// (sums on 4 lanes): the same input gives the same bytes everywhere. Functions are pure and noexcept.
#pragma once

#include <cstddef>

namespace concerto::quant {

inline constexpr int kMaxGroup = 32;

// For types whose blocks treat every weight alike.
inline constexpr float kEqualWeights[kMaxGroup] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                   1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// How the format stores a scale: the search judges a candidate as it will be read back.
enum class Stored { kFloat, kHalf };

// value as binary16, kept finite: beyond +-65504 it is clamped.
float to_stored_half(float value) noexcept;

// The nearest such value whose magnitude is not below that of `value`: a scale of scales must reach the largest of
// them, and among subnormals the next lower value may be several percent off.
float to_covering_half(float value) noexcept;

// Copies n weights; a NaN or an infinity becomes 0.
void copy_finite(const float* in, size_t n, float* out) noexcept;

// w[i] = rms(x) + |x[i]|: large weights matter more, small ones still count. n a multiple of 4.
void importance(const float* x, int n, float* w) noexcept;

// Nearest integer to x * inverse, in [low, high], as a float. Ties go to even.
inline float quantise(float x, float inverse, float low, float high) noexcept {
  constexpr float kRounder = 0x1.8p23F;  // adding it leaves no fraction bits
  float q = (x * inverse + kRounder) - kRounder;
  q = q < low ? low : q;
  return q > high ? high : q;
}

// 1 / d, or 0 where d is too small to have an inverse.
float inverse_of(float d) noexcept;

// x ~ d * q, q in [low, high], low < 0 < high. x, w: [n], n a multiple of 4 up to kMaxGroup. Returns d, maybe negative.
float search_scale(const float* x, const float* w, int n, float low, float high, Stored stored) noexcept;

// Weighted squared error of x ~ d * q with the best q.
float scale_error(const float* x, const float* w, int n, float low, float high, float d) noexcept;

struct Affine {
  float d = 0;
  float m = 0;
};

// x ~ d * q + m, q in [0, high], d >= 0; with `minimum_only` m <= 0.
Affine search_affine(const float* x, const float* w, int n, float high, bool minimum_only, Stored stored) noexcept;

// Weighted squared error of x ~ d * q + m with the best q.
float affine_error(const float* x, const float* w, int n, float high, Affine fit) noexcept;

}  // namespace concerto::quant
