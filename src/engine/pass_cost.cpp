#include "engine/pass_cost.h"

#include <algorithm>

namespace concerto::engine {
namespace {

constexpr double kFade = 0.97;
constexpr double kTellingSpread = 0.5;  // variance of the tokens below which the slope is mostly noise
constexpr double kReturn = 0.01;
constexpr double kLeast = 0.005, kMost = 1;

}  // namespace

void PassCost::add(int tokens, int64_t ns) noexcept {
  if (ns <= 0) return;
  const auto x = static_cast<double>(tokens);
  const auto y = static_cast<double>(ns);
  weight_ = weight_ * kFade + 1;
  x_ = x_ * kFade + x;
  y_ = y_ * kFade + y;
  xx_ = xx_ * kFade + x * x;
  xy_ = xy_ * kFade + x * y;
  const double mean_x = x_ / weight_;
  const double mean_y = y_ / weight_;
  const double spread = xx_ / weight_ - mean_x * mean_x;
  telling_ = weight_ >= 3 && spread >= kTellingSpread;
  if (telling_) {
    const double slope = (xy_ / weight_ - mean_x * mean_y) / spread;
    const double one = mean_y - slope * (mean_x - 1);
    if (one > 0) per_token_ = std::clamp(slope / one, kLeast, kMost);
  } else {
    per_token_ += kReturn * (kPrior - per_token_);
  }
  one_ns_ = mean_y / (1 + per_token_ * (mean_x - 1));
}

}  // namespace concerto::engine
