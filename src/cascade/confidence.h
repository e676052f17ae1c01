// Confidence: a number in [0, 1] from what a model's own tokens reveal. Pure functions, any thread.
//
// Bit-for-bit reproducible: sums in token order, comparisons, and arithmetic that IEEE 754 fixes; no libm, whose exp
// differs between machines. Not calibrated: 0.85 is a threshold on this score, not a probability (Decision::calibrated
// stays false until a fit on the user's own cases replaces it).
#pragma once

#include <optional>
#include <span>

#include "cascade/chat.h"

namespace concerto::cascade {

// Of one part of an answer: what was thought, or what was said.
struct SpanFeatures {
  int tokens = 0;
  double mean_logprob = 0;  // of the tokens drawn
  double low_logprob = 0;   // 10% quantile
  double min_logprob = 0;
  double mean_margin = 0;  // p(best) - p(second)
  double low_margin = 0;   // 10% quantile
  double mean_entropy = 0;
  double max_entropy = 0;
  double doubt = 0;              // sum over the tokens of (1 - margin)^2 - logprob (at most 8)
  double min_window_margin = 0;  // lowest mean margin of kMarginWindow neighbours (of all, when there are fewer)
};

struct Features {
  SpanFeatures answer;
  SpanFeatures thinking;
  bool has_margin = false;   // some token told its margin
  bool has_entropy = false;  // some token told its entropy
  bool ended = false;        // the answer ended by itself within these tokens
};

constexpr int kMarginWindow = 8;

// Of the first `window` tokens (0: of all).
Features features_of(std::span<const TokenInfo> tokens, int window, bool ended);

// nullopt without a token. Near 1 for a short answer that was never in doubt; each token in doubt lowers it, and a long
// answer has more of them. Judges the answer's span; the thinking's only while there is no answer yet.
std::optional<double> confidence(const Features& features);

// e^x for x <= 0 within 1e-13, the same bits on every machine; 0 below -700.
double fixed_exp(double x);

}  // namespace concerto::cascade
