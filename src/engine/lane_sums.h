// Loops over a whole row of logits: maximum, sums of exponentials, weights. 16 lanes and the tree of kernels.h.
//
// Built for several instruction sets from one source, the best chosen at run time; multiplications and additions only,
// so all give the same bits. Measured for V = 151,936 on a Zen 4 core (plain x86-64 / AVX-512): see lane_sums.cpp.
// Pure; n >= 1.
#pragma once

#include <span>

namespace concerto::engine {

struct ExpMoments {
  float weight = 0;  // sum of e^(x-m)
  float moment = 0;  // sum of e^(x-m) (x-m): NaN exactly when an x is not finite (0 * -inf, inf - inf)
};

struct LaneLoops {
  const char* name;
  float (*max)(const float* x, int n) noexcept;  // NaN are passed over; -inf when all are
  ExpMoments (*exp_moments)(const float* x, int n, float m) noexcept;
  // out[i] = e^((x[i] - best) * inverse_t); returns their sum. x[i] <= best.
  float (*exp_weights)(const float* x, int n, float best, float inverse_t, float* out) noexcept;
};

const LaneLoops& lane_loops() noexcept;
// All that this processor runs, the plain one first (tests).
std::span<const LaneLoops> all_lane_loops() noexcept;

}  // namespace concerto::engine
