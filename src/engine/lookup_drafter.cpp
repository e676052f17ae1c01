#include "engine/lookup_drafter.h"

#include <algorithm>

namespace concerto::engine {
namespace {

constexpr int kWindow = 24;  // tokens around a departure in which the answer may come back to its source

}  // namespace

size_t LookupDrafter::kind(int i) const noexcept {
  const int length = match_.length + i;
  if (length < 4) return static_cast<size_t>(length);
  if (length < 6) return 4;
  if (length < 10) return 5;
  return length < 18 ? 6 : 7;
}

// Where the source goes on if the answer's last token is one of it; for the first token that departs, also as if it
// stood in for one of the source's.
SuffixIndex::Match LookupDrafter::near_departure(std::span<const int32_t> tokens) const {
  SuffixIndex::Match best;
  if (source_ < 0 || astray_ > kWindow) return best;
  const auto size = static_cast<int>(tokens.size());
  for (int next = source_; next <= std::min(source_ + kWindow, size - 1); ++next) {
    const int length = next == 0 ? 0 : SuffixIndex::agreement(tokens, next);
    if (length > best.length) best = {next, length};
  }
  if (best.length == 0 && astray_ == 1 && source_ + 1 < size) return {source_ + 1, 0};
  return best;
}

void LookupDrafter::propose(std::span<const int32_t> tokens, int most) {
  index_.extend(tokens);
  match_ = near_departure(tokens);
  // A source that is being followed goes before an equally good one elsewhere.
  if (const auto found = index_.find(tokens); found.length > match_.length) match_ = found;
  guess_.clear();
  if (match_.next < 0) return;
  const auto size = static_cast<int>(tokens.size());
  for (int i = 0; i < most; ++i) {
    // A source that runs into the end repeats itself: what was guessed follows.
    const int at = match_.next + i;
    guess_.push_back(at < size ? tokens[static_cast<size_t>(at)] : guess_[static_cast<size_t>(at - size)]);
  }
}

void LookupDrafter::learn(std::span<const int32_t> outcome) {
  evidence_.fade();
  const size_t known = std::min(guess_.size(), outcome.size());
  size_t right = 0;
  while (right < known && guess_[right] == outcome[right]) evidence_.add(kind(static_cast<int>(right++)), true);
  if (right < known) evidence_.add(kind(static_cast<int>(right)), false);
  // A source that was wrong at once was never followed: it says nothing about where the answer may come back to.
  if (right > 0) {
    source_ = match_.next + static_cast<int>(right);
    astray_ = static_cast<int>(outcome.size() - right);
  } else {
    astray_ += static_cast<int>(outcome.size());
  }
}

}  // namespace concerto::engine
