#include "engine/lane_sums.h"

#include <limits>

#include "base/cpu_features.h"
#include "engine/lane_exp.h"

namespace concerto::engine {
namespace {

constexpr int kLanes = 16;

#define LANE_BODY static inline __attribute__((always_inline))

LANE_BODY float tree_sum(float* lanes) noexcept {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

LANE_BODY float max_body(const float* x, int n) noexcept {
  float lanes[kLanes];
  for (float& lane : lanes) lane = -std::numeric_limits<float>::infinity();
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  }
  for (; i < n; ++i) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
  float best = lanes[0];
  for (int j = 1; j < kLanes; ++j) best = lanes[j] > best ? lanes[j] : best;
  return best;
}

LANE_BODY ExpMoments moments_body(const float* x, int n, float m) noexcept {
  float weight[kLanes] = {};
  float moment[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float t = x[i + j] - m;
      const float e = lane_exp(t);
      weight[j] += e;
      moment[j] += e * t;
    }
  }
  for (int j = 0; i < n; ++i, ++j) {
    const float t = x[i] - m;
    const float e = lane_exp(t);
    weight[j] += e;
    moment[j] += e * t;
  }
  return {tree_sum(weight), tree_sum(moment)};
}

LANE_BODY float weights_body(const float* x, int n, float best, float inverse_t, float* __restrict out) noexcept {
  float sum[kLanes] = {};
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float e = lane_exp((x[i + j] - best) * inverse_t);
      out[i + j] = e;
      sum[j] += e;
    }
  }
  for (int j = 0; i < n; ++i, ++j) {
    out[i] = lane_exp((x[i] - best) * inverse_t);
    sum[j] += out[i];
  }
  return tree_sum(sum);
}

// The three loops for one instruction set: the bodies are inlined and vectorised for it.
// NOLINTBEGIN(bugprone-macro-parentheses): `attribute` is no expression.
#define LANE_LOOPS(suffix, attribute)                                                                              \
  attribute float max_##suffix(const float* x, int n) noexcept { return max_body(x, n); }                          \
  attribute ExpMoments moments_##suffix(const float* x, int n, float m) noexcept { return moments_body(x, n, m); } \
  attribute float weights_##suffix(const float* x, int n, float best, float inverse_t, float* out) noexcept {      \
    return weights_body(x, n, best, inverse_t, out);                                                               \
  }                                                                                                                \
  constexpr LaneLoops kLoops_##suffix{#suffix, max_##suffix, moments_##suffix, weights_##suffix};

// NOLINTEND(bugprone-macro-parentheses)

LANE_LOOPS(plain, )
#if defined(__x86_64__)
LANE_LOOPS(avx2, __attribute__((target("avx2"))))
LANE_LOOPS(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))))
#endif

struct Runnable {
  LaneLoops loops[3] = {kLoops_plain};
  size_t count = 1;
  Runnable() noexcept {
#if defined(__x86_64__)
    if (base::cpu_features().avx2) loops[count++] = kLoops_avx2;
    if (base::cpu_features().avx512) loops[count++] = kLoops_avx512;
#endif
  }
};

const Runnable& runnable() noexcept {
  static const Runnable r;
  return r;
}

}  // namespace

const LaneLoops& lane_loops() noexcept { return runnable().loops[runnable().count - 1]; }
std::span<const LaneLoops> all_lane_loops() noexcept { return {runnable().loops, runnable().count}; }

}  // namespace concerto::engine
