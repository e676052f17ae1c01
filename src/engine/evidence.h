// Evidence: how often guesses of each kind were right lately, with a prior for what was seldom or long ago seen.
//
// Every observation fades with those that follow, so that a kind given up on comes back to its prior and is tried
// again.
#pragma once

#include <array>
#include <cstddef>

namespace concerto::engine {

template <size_t kKinds>
class Evidence {
 public:
  explicit Evidence(const std::array<double, kKinds>& prior) noexcept : prior_(prior) {}

  [[nodiscard]] double chance(size_t kind) const noexcept {
    return (kPriorWeight * prior_[kind] + hits_[kind]) / (kPriorWeight + trials_[kind]);
  }
  void add(size_t kind, bool hit) noexcept {
    trials_[kind] += 1;
    if (hit) hits_[kind] += 1;
  }
  void fade() noexcept {
    for (size_t i = 0; i < kKinds; ++i) {
      trials_[i] *= kFade;
      hits_[i] *= kFade;
    }
  }

 private:
  static constexpr double kPriorWeight = 3;
  static constexpr double kFade = 0.97;  // a step: about the last thirty count

  std::array<double, kKinds> prior_;
  std::array<double, kKinds> hits_{};
  std::array<double, kKinds> trials_{};
};

}  // namespace concerto::engine
