// Speculator: which guesses of the next tokens a pass computes along with the tokens that are certain.
//
// A pass of a few tokens costs little more than one of a single token: the weights are read once either way. So the
// scheduler puts guessed tokens behind the certain one; the logits after each tell what the model would have said
// there, the sampler draws from them exactly as it would without guesses (its draws are keyed by position), and as long
// as the drawn token is the guessed one the next row counts too. The first that differs is right all the same; the rows
// behind it are dropped, their K and V overwritten by the next pass. Hence the same tokens, log-probabilities and
// signals with and without speculation: a guess decides only how many passes an answer takes.
//
// A guess is computed when it is worth it: when its chance of being right, times what a pass costs, exceeds what one
// more token adds to that cost. Both are measured all the time (evidence.h, pass_cost.h).
//
// Guesses come from the sequence itself (lookup_drafter.h) or from a small model (draft_model.h), whichever promises
// more tokens for the time.
// Belongs to the engine's thread.
#pragma once

#include <cstdint>
#include <span>

#include "engine/draft_model.h"
#include "engine/pass_cost.h"
#include "engine/sequence.h"
#include "engine/speculation_mode.h"
#include "text/tokenizer.h"

namespace concerto::engine {

class Speculator {
 public:
  // Tokens of a decoding pass, certain and guessed: beyond about eight a pass is bound by arithmetic, not by memory.
  static constexpr int kMaxRows = 8;

  // tokenizer and model (which may be null) outlive the speculator.
  Speculator(Speculation mode, const text::Tokenizer& tokenizer, DraftModel* model)
      : mode_(mode), tokenizer_(tokenizer), model_(mode == Speculation::kAuto ? model : nullptr) {}

  // Sets draft.guess and draft.verify of each of the sequences that decode next, at most `room` guesses in all. With a
  // prompt in the pass every token costs arithmetic: only guesses that are rather right than wrong are taken then.
  void choose(std::span<Sequence* const> decoding, int room, bool beside_prompt);
  // After the pass: what was drawn for s, one token at least.
  void learn(Sequence& s, std::span<const int32_t> outcome);
  // When s ends or gives its blocks back.
  void forget(Sequence& s) {
    if (model_ != nullptr) model_->forget(s);
  }
  // How long a pass without prompt tokens took.
  void took(int tokens, int64_t ns) noexcept { cost_.add(tokens, ns); }

 private:
  [[nodiscard]] int longest_use(const Sequence& s) const;
  [[nodiscard]] double lookup_gain(const Sequence& s) const;
  void ask_model(std::span<Sequence* const> decoding, int room);
  void collect(Sequence& s) const;

  Speculation mode_;
  const text::Tokenizer& tokenizer_;
  DraftModel* model_;
  PassCost cost_;
  unsigned passes_ = 0;
};

}  // namespace concerto::engine
