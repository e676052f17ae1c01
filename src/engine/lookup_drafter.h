// LookupDrafter: guesses the next tokens of one sequence from what followed the same tokens before, in its prompt or
// its answer: code that is edited, text that is quoted, lists that repeat a pattern.
//
// The source is the longest earlier occurrence of the sequence's end. Where the answer departs from a source it was
// following (a name replaced, a line left out), no such occurrence exists for some tokens: the place where it departed
// is kept, and the guess goes on from the first token near it that the answer comes back to.
//
// Each kind of guess keeps its own record of how often it was right; a guess is checked against what the model said
// whether or not it was computed, so that nothing has to be spent to find out. Belongs to one sequence; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/evidence.h"
#include "engine/suffix_index.h"

namespace concerto::engine {

class LookupDrafter {
 public:
  // tokens: prompt + output, growing from call to call. Leaves up to `most` tokens in guess(), perhaps none.
  void propose(std::span<const int32_t> tokens, int most);
  // Instead of propose(): no guess for the next tokens.
  void pass() noexcept { guess_.clear(); }
  [[nodiscard]] const std::vector<int32_t>& guess() const noexcept { return guess_; }
  // How likely guess()[i] is right when those before it are.
  [[nodiscard]] double chance(int i) const noexcept { return evidence_.chance(kind(i)); }
  // The tokens that followed the ones of propose(), at least one.
  void learn(std::span<const int32_t> outcome);

 private:
  // By how many tokens agreed before the guessed one. The first three occur only near the place of a departure.
  static constexpr size_t kKinds = 8;
  [[nodiscard]] size_t kind(int i) const noexcept;
  [[nodiscard]] SuffixIndex::Match near_departure(std::span<const int32_t> tokens) const;

  SuffixIndex index_;
  Evidence<kKinds> evidence_{{0.25, 0.25, 0.4, 0.4, 0.5, 0.7, 0.8, 0.9}};
  std::vector<int32_t> guess_;
  SuffixIndex::Match match_;  // what guess_ came from
  int source_ = -1;           // where the source being followed goes on, -1: there is none
  int astray_ = 0;            // tokens of the answer since it departed from the source
};

}  // namespace concerto::engine
