// ModelDraft: what a draft model (draft_model.h) keeps of one sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/evidence.h"

namespace concerto::engine {

struct ModelDraft {
  // Guesses by the probability that the draft model itself gave them: below 0.3, 0.5, 0.7, 0.9, 0.97, and above.
  static constexpr size_t kKinds = 6;

  // No guess for the next tokens.
  void pass() noexcept {
    guess.clear();
    kinds.clear();
  }

  std::vector<int32_t> guess;
  std::vector<size_t> kinds;    // of the guesses
  std::vector<int32_t> seen;    // tokens whose K and V are in its blocks, perhaps not the sequence's any more
  std::vector<int32_t> blocks;  // of the draft model's pool
  Evidence<kKinds> evidence{{0.25, 0.4, 0.55, 0.7, 0.85, 0.93}};
  Evidence<1> all{{0.7}};  // of every guess, whatever its kind
  double missed = 0;       // passes that its guesses might have saved, in all
  size_t resume_at = 0;    // tokens of the sequence before which nothing is guessed
  size_t pause = 64;       // tokens it is left alone when guessing does not pay; doubles
};

}  // namespace concerto::engine
