#include "engine/speculator.h"

#include <algorithm>
#include <array>

namespace concerto::engine {
namespace {

constexpr double kBesidePrompt = 0.5;  // the least chance of a guess in a pass that is bound by arithmetic

}  // namespace

// Guesses of s that can be of use: the last token of an answer needs no row of its own, nor what follows its end.
int Speculator::longest_use(const Sequence& s) const {
  const auto& guess = s.draft.lookup.guess();
  const int most = std::min(static_cast<int>(guess.size()), s.max_tokens - s.output_tokens() - 1);
  if (s.job.request.ignore_end) return std::max(0, most);
  int use = 0;
  while (use < most && !tokenizer_.is_end(guess[static_cast<size_t>(use)])) ++use;
  return use;
}

void Speculator::choose(std::span<Sequence* const> decoding, int room, bool beside_prompt) {
  for (Sequence* s : decoding) {
    s->draft.verify = 0;
    s->draft.lookup.pass();
  }
  const auto sequences = static_cast<int>(decoding.size());
  room = std::min(room, kMaxRows - sequences);
  if (mode_ == Speculation::kOff || sequences >= kMaxRows) return;

  // As long as all passes are as wide as can be, nothing tells whether that pays.
  constexpr std::array<int, 3> kNarrower = {0, 3, kMaxRows};
  if (!cost_.telling()) room = std::min(room, kNarrower.at(passes_++ % kNarrower.size()));

  struct Candidate {
    Sequence* sequence = nullptr;
    int use = 0;
    double chance = 0;  // that all of its chosen guesses and the next one are right
  };
  std::array<Candidate, kMaxRows> candidates;
  const auto open = std::span(candidates).first(static_cast<size_t>(sequences));
  for (size_t i = 0; i < open.size(); ++i) {
    Sequence& s = *decoding[i];
    if (!s.job.request.speculate) continue;
    s.draft.lookup.propose(s.tokens, kMaxRows - 1);
    open[i] = {&s, longest_use(s), 0};
    if (open[i].use > 0) open[i].chance = s.draft.lookup.chance(0);
  }
  double expected = sequences;  // tokens that the pass yields
  for (int rows = sequences; room > 0; --room, ++rows) {
    auto best = std::ranges::max_element(open, {}, &Candidate::chance);
    if (best->chance * cost_.of(rows) <= expected * cost_.per_token()) return;
    if (beside_prompt && best->chance < kBesidePrompt) return;
    expected += best->chance;
    DraftState& draft = best->sequence->draft;
    ++draft.verify;
    best->chance = draft.verify < best->use ? best->chance * draft.lookup.chance(draft.verify) : 0;
  }
}

void Speculator::learn(Sequence& s, std::span<const int32_t> outcome) {
  if (mode_ != Speculation::kOff && s.job.request.speculate) s.draft.lookup.learn(outcome);
}

}  // namespace concerto::engine
