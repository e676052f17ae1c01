// The angles of rotary position embeddings, the same bits on every machine.
//
// libm's pow, sin and cos differ between C libraries in the last bits, and so would the logits. These use only +, -, *,
// / on doubles, which IEEE 754 rounds exactly, in a fixed order; errors stay below 1e-13, far under the float they end
// as. Pure functions; any thread.
#pragma once

#include <vector>

namespace concerto::model {

// Angle per position of each pair i in [0, K/2): base^(-2i/K). base > 0, head_dim even.
std::vector<double> rope_frequencies(double base, int head_dim);

// cos and sin [K/2] of position * frequency, rounded to float. 0 <= position < 2^24.
void rope_angles(const std::vector<double>& frequencies, int position, float* cos, float* sin) noexcept;

// The parts, for tests. x in [0, 2^24].
void sin_cos(double x, double* sin, double* cos) noexcept;
double natural_log(double x) noexcept;  // x > 0, finite, normal
double exponential(double x) noexcept;  // |x| < 700

}  // namespace concerto::model
