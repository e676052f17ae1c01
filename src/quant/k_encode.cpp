#include "quant/k_encode.h"

#include <algorithm>

#include "base/half.h"
#include "quant/scale_search.h"

namespace concerto::quant {
namespace {

constexpr int kGroups = 8;
constexpr int kGroup = 32;
constexpr int kMaxCode = 63;  // 6 bits

int code_of(float value, float unit) noexcept {
  return static_cast<int>(quantise(value, inverse_of(unit), 0, kMaxCode));
}

}  // namespace

KBlock encode_k_block(const float* in, int levels) noexcept {
  const auto high = static_cast<float>(levels);
  float x[kGroups * kGroup];
  float w[kGroups * kGroup];
  copy_finite(in, kGroups * kGroup, x);
  Affine fits[kGroups];
  float largest_d = 0;
  float largest_minimum = 0;
  for (int g = 0; g < kGroups; ++g) {
    importance(x + g * kGroup, kGroup, w + g * kGroup);
    fits[g] = search_affine(x + g * kGroup, w + g * kGroup, kGroup, high, true, Stored::kFloat);
    largest_d = std::max(largest_d, fits[g].d);
    largest_minimum = std::max(largest_minimum, -fits[g].m);
  }
  KBlock out{};
  const float d = to_covering_half(largest_d / kMaxCode);
  const float dmin = to_covering_half(largest_minimum / kMaxCode);
  out.d = base::f32_to_f16(d);
  out.dmin = base::f32_to_f16(dmin);
  for (int g = 0; g < kGroups; ++g) {
    const float* gx = x + g * kGroup;
    const float* gw = w + g * kGroup;
    // Rounding the scale shifts the best minimum and the other way round: try the neighbours of both.
    const int scale = code_of(fits[g].d, d);
    const int minimum = code_of(-fits[g].m, dmin);
    int best_scale = scale;
    int best_minimum = minimum;
    const auto fit = [&](int s, int m) { return Affine{d * static_cast<float>(s), -(dmin * static_cast<float>(m))}; };
    float best_error = affine_error(gx, gw, kGroup, high, fit(scale, minimum));
    for (int s = std::max(scale - 1, 0); s <= std::min(scale + 1, kMaxCode); ++s) {
      for (int m = std::max(minimum - 1, 0); m <= std::min(minimum + 1, kMaxCode); ++m) {
        const float error = affine_error(gx, gw, kGroup, high, fit(s, m));
        if (error < best_error) {
          best_error = error;
          best_scale = s;
          best_minimum = m;
        }
      }
    }
    out.groups.scale[g] = static_cast<uint8_t>(best_scale);
    out.groups.minimum[g] = static_cast<uint8_t>(best_minimum);
    const Affine best = fit(best_scale, best_minimum);
    const float inverse = inverse_of(best.d);
    for (int i = 0; i < kGroup; ++i)
      out.q[g * kGroup + i] = static_cast<uint8_t>(quantise(gx[i] - best.m, inverse, 0.0F, high));
  }
  return out;
}

}  // namespace concerto::quant
