#include "quant/scale_search.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace concerto::quant {
namespace {

// Trial scales reach from (levels - kReach) to (levels + kReach) levels for the range, in kTrials steps each way.
constexpr int kTrials = 5;
constexpr float kReach = 1.5F;

// Four floats, a register of SSE2 and of NEON: the compilers' vector type, since they do not find these loops by
// themselves. Sums are kept per lane and added in a fixed order, so the result is the same on every machine.
constexpr int kLanes = 4;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

Lanes load(const float* p) noexcept {
  Lanes v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

float total(Lanes v) noexcept { return (v[0] + v[2]) + (v[1] + v[3]); }

// quantise() of the header on four values.
Lanes quantise4(Lanes x, float inverse, float low, float high) noexcept {
  constexpr float kRounder = 0x1.8p23F;
  const Lanes q = (x * inverse + kRounder) - kRounder;
  const Lanes lows = Lanes{} + low;
  const Lanes highs = Lanes{} + high;
  const Lanes raised = q < lows ? lows : q;
  return raised > highs ? highs : raised;
}

float store(float value, Stored stored) noexcept { return stored == Stored::kHalf ? to_stored_half(value) : value; }

bool is_finite(float value) noexcept { return (std::bit_cast<uint32_t>(value) & 0x7F800000U) != 0x7F800000U; }

// The least-squares d of x ~ d * q for the q that `inverse` gives.
float fit_scale(const float* x, const float* w, int n, float low, float high, float inverse) noexcept {
  Lanes qx{};
  Lanes qq{};
  for (int i = 0; i < n; i += kLanes) {
    const Lanes v = load(x + i);
    const Lanes q = quantise4(v, inverse, low, high);
    const Lanes wq = load(w + i) * q;
    qx += wq * v;
    qq += wq * q;
  }
  const float squares = total(qq);
  return squares > 0 ? total(qx) / squares : 0.0F;
}

struct Range {
  float low;
  float high;
};

Range range_of(const float* x, int n) noexcept {
  Range range{x[0], x[0]};
  for (int i = 1; i < n; ++i) {
    range.low = x[i] < range.low ? x[i] : range.low;
    range.high = x[i] > range.high ? x[i] : range.high;
  }
  return range;
}

// The least-squares (d, m) of x ~ d * q + m for the q that `inverse` and `offset` give.
Affine fit_affine(const float* x, const float* w, int n, float high, float inverse, float offset,
                  bool minimum_only) noexcept {
  Lanes s_w{};
  Lanes s_x{};
  Lanes s_q{};
  Lanes s_qq{};
  Lanes s_qx{};
  for (int i = 0; i < n; i += kLanes) {
    const Lanes v = load(x + i);
    const Lanes weight = load(w + i);
    const Lanes q = quantise4(v - offset, inverse, 0.0F, high);
    const Lanes weighted = weight * q;
    s_w += weight;
    s_x += weight * v;
    s_q += weighted;
    s_qq += weighted * q;
    s_qx += weighted * v;
  }
  const float ww = total(s_w);
  const float wx = total(s_x);
  const float wq = total(s_q);
  const float wqq = total(s_qq);
  const float wqx = total(s_qx);
  const float determinant = ww * wqq - wq * wq;
  Affine fit;
  if (determinant > 0) {
    fit.d = (ww * wqx - wx * wq) / determinant;
    fit.m = (wqq * wx - wq * wqx) / determinant;
  } else {  // every q is the same
    fit.m = ww > 0 ? wx / ww : 0.0F;
  }
  if (minimum_only && fit.m > 0) {
    fit.m = 0;
    fit.d = wqq > 0 ? wqx / wqq : 0.0F;
  }
  if (fit.d < 0) fit.d = 0;
  return fit;
}

}  // namespace

float to_stored_half(float value) noexcept {
  constexpr float kLargest = 65504.0F;
  const float clamped = value > kLargest ? kLargest : (value < -kLargest ? -kLargest : value);
  return base::f16_to_f32(base::f32_to_f16(clamped));
}

float to_covering_half(float value) noexcept {
  constexpr uint16_t kLargestBits = 0x7BFF;  // 65504
  const float nearest = to_stored_half(value);
  if (std::fabs(nearest) >= std::fabs(value)) return nearest;
  const uint16_t bits = base::f32_to_f16(nearest);
  return (bits & 0x7FFFU) == kLargestBits ? nearest : base::f16_to_f32(static_cast<uint16_t>(bits + 1));
}

void copy_finite(const float* in, size_t n, float* out) noexcept {
  for (size_t i = 0; i < n; ++i) out[i] = is_finite(in[i]) ? in[i] : 0.0F;
}

void importance(const float* x, int n, float* w) noexcept {
  Lanes squares{};
  for (int i = 0; i < n; i += kLanes) squares += load(x + i) * load(x + i);
  const float rms = std::sqrt(total(squares) / static_cast<float>(n));
  for (int i = 0; i < n; ++i) w[i] = rms + std::fabs(x[i]);
}

float inverse_of(float d) noexcept {
  const float inverse = d == 0 ? 0.0F : 1.0F / d;
  return is_finite(inverse) ? inverse : 0.0F;
}

float scale_error(const float* x, const float* w, int n, float low, float high, float d) noexcept {
  const float inverse = inverse_of(d);
  Lanes error{};
  for (int i = 0; i < n; i += kLanes) {
    const Lanes v = load(x + i);
    const Lanes rest = v - d * quantise4(v, inverse, low, high);
    error += load(w + i) * (rest * rest);
  }
  return total(error);
}

float search_scale(const float* x, const float* w, int n, float low, float high, Stored stored) noexcept {
  float extreme = 0;
  for (int i = 0; i < n; ++i) extreme = std::fabs(x[i]) > std::fabs(extreme) ? x[i] : extreme;
  // The extreme takes the lowest level, which reaches one further than the highest.
  float best = store(extreme / low, stored);
  if (inverse_of(best) == 0) return best;
  float best_error = scale_error(x, w, n, low, high, best);
  for (int trial = -kTrials; trial <= kTrials; ++trial) {
    const float levels = low + kReach * static_cast<float>(trial) / kTrials;
    const float d = store(fit_scale(x, w, n, low, high, levels / extreme), stored);
    if (!is_finite(d)) continue;
    const float error = scale_error(x, w, n, low, high, d);
    if (error < best_error) {
      best_error = error;
      best = d;
    }
  }
  return best;
}

float affine_error(const float* x, const float* w, int n, float high, Affine fit) noexcept {
  const float inverse = inverse_of(fit.d);
  Lanes error{};
  for (int i = 0; i < n; i += kLanes) {
    const Lanes v = load(x + i);
    const Lanes rest = v - (fit.d * quantise4(v - fit.m, inverse, 0.0F, high) + fit.m);
    error += load(w + i) * (rest * rest);
  }
  return total(error);
}

Affine search_affine(const float* x, const float* w, int n, float high, bool minimum_only, Stored stored) noexcept {
  Range range = range_of(x, n);
  if (minimum_only && range.low > 0) range.low = 0;
  if (minimum_only && range.high < range.low) range.high = range.low;
  const float width = range.high - range.low;
  Affine best{store(width / high, stored), store(range.low, stored)};
  float best_error = affine_error(x, w, n, high, best);
  if (!(width > 0) || !is_finite(width)) return best;
  for (int trial = -kTrials; trial <= kTrials; ++trial) {
    const float levels = high + kReach * static_cast<float>(trial) / kTrials;
    Affine fit = fit_affine(x, w, n, high, levels / width, range.low, minimum_only);
    fit = {store(fit.d, stored), store(fit.m, stored)};
    if (!is_finite(fit.d) || !is_finite(fit.m)) continue;
    const float error = affine_error(x, w, n, high, fit);
    if (error < best_error) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

}  // namespace concerto::quant
