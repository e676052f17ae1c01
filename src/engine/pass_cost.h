// PassCost: what one more token in a decoding pass costs, measured on the passes themselves.
//
// A pass of few tokens mostly waits for the weights, so that time = base + slope * tokens with a small slope; how small
// depends on the processor, the memory, the model and what else runs. The line is fitted to the recent passes, each
// counting less as newer ones come.
#pragma once

#include <cstdint>

namespace concerto::engine {

class PassCost {
 public:
  void add(int tokens, int64_t ns) noexcept;
  // False while the recent passes were too alike to tell what a token costs; the estimate then goes back to the prior,
  // so that a wrong one does not last.
  [[nodiscard]] bool telling() const noexcept { return telling_; }
  // Of one more token, in units of a pass of one token.
  [[nodiscard]] double per_token() const noexcept { return per_token_; }
  // Of a pass, in the same unit.
  [[nodiscard]] double of(int tokens) const noexcept { return 1 + per_token_ * (tokens - 1); }
  // Of a pass of one token; 0: not known yet.
  [[nodiscard]] double one_ns() const noexcept { return one_ns_; }

 private:
  // Weighted sums over the passes: of 1, tokens, ns, tokens^2, tokens * ns.
  double weight_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;
  static constexpr double kPrior = 0.06;  // two cores of Zen 4 and a 1.5B: 0.04
  double per_token_ = kPrior;
  bool telling_ = false;
  double one_ns_ = 0;
};

}  // namespace concerto::engine
