#include "engine/speculator.h"

#include <algorithm>
#include <array>
#include <vector>

namespace concerto::engine {
namespace {

constexpr double kBesidePrompt = 0.5;  // the least chance of a guess in a pass that is bound by arithmetic

}  // namespace

// Guesses of s that can be of use: the last token of an answer needs no row of its own, nor what follows its end.
int Speculator::longest_use(const Sequence& s) const {
  const auto& guess = s.draft.guess;
  const int most = std::min(static_cast<int>(guess.size()), s.max_tokens - s.output_tokens() - 1);
  if (s.job.request.ignore_end) return std::max(0, most);
  int use = 0;
  while (use < most && !tokenizer_.is_end(guess[static_cast<size_t>(use)])) ++use;
  return use;
}

// Tokens a pass's time yields with guesses from earlier text, at best.
double Speculator::lookup_gain(const Sequence& s) const {
  double best = 1;
  double reach = 1;
  double tokens = 1;
  for (int k = 1; k <= static_cast<int>(s.draft.lookup.guess().size()); ++k) {
    reach *= s.draft.lookup.chance(k - 1);
    tokens += reach;
    best = std::max(best, tokens / cost_.of(1 + k));
  }
  return best;
}

// Lets the model guess for those for whom that promises more than earlier text does.
void Speculator::ask_model(std::span<Sequence* const> decoding, int room) {
  const int most = room / static_cast<int>(decoding.size());
  std::vector<Sequence*> asking;
  for (Sequence* s : decoding) {
    if (!s->job.request.speculate || s->max_tokens - s->output_tokens() <= 1) continue;
    const double better = model_->gain(*s, most, cost_.per_token()) - lookup_gain(*s);
    if (better <= 0) continue;
    s->draft.model.missed += better;
    asking.push_back(s);
  }
  if (!asking.empty()) model_->propose(asking, most, {cost_.one_ns(), cost_.per_token()});
}

void Speculator::collect(Sequence& s) const {
  DraftState& draft = s.draft;
  draft.chances.clear();
  if (!draft.model.guess.empty()) {
    draft.guess = draft.model.guess;
    for (size_t i = 0; i < draft.guess.size(); ++i) draft.chances.push_back(DraftModel::chance(s, i));
  } else {
    draft.guess = draft.lookup.guess();
    for (int i = 0; i < static_cast<int>(draft.guess.size()); ++i) draft.chances.push_back(draft.lookup.chance(i));
  }
}

void Speculator::choose(std::span<Sequence* const> decoding, int room, bool beside_prompt) {
  for (Sequence* s : decoding) {
    s->draft.verify = 0;
    s->draft.guess.clear();
    s->draft.lookup.pass();
    s->draft.model.pass();
  }
  const auto sequences = static_cast<int>(decoding.size());
  room = std::min(room, kMaxRows - sequences);
  if (mode_ == Speculation::kOff || sequences == 0 || sequences >= kMaxRows) return;
  // As long as all passes are as wide as can be, nothing tells whether that pays.
  constexpr std::array<int, 3> kNarrower = {0, 3, kMaxRows};
  if (!cost_.telling()) room = std::min(room, kNarrower.at(passes_++ % kNarrower.size()));

  for (Sequence* s : decoding) {
    if (s->job.request.speculate) s->draft.lookup.propose(s->tokens, kMaxRows - 1);
  }
  if (model_ != nullptr && !beside_prompt && room >= sequences) ask_model(decoding, room);

  struct Open {
    Sequence* sequence = nullptr;
    int use = 0;
    double chance = 0;  // that all of its chosen guesses and the next one are right
  };
  std::array<Open, kMaxRows> all;
  const auto open = std::span(all).first(static_cast<size_t>(sequences));
  for (size_t i = 0; i < open.size(); ++i) {
    Sequence& s = *decoding[i];
    collect(s);
    open[i] = {&s, longest_use(s), 0};
    if (open[i].use > 0) open[i].chance = s.draft.chances[0];
  }
  double expected = sequences;  // tokens that the pass yields
  for (int rows = sequences; room > 0; --room, ++rows) {
    auto best = std::ranges::max_element(open, {}, &Open::chance);
    if (best->chance * cost_.of(rows) <= expected * cost_.per_token()) return;
    if (beside_prompt && best->chance < kBesidePrompt) return;
    expected += best->chance;
    DraftState& draft = best->sequence->draft;
    ++draft.verify;
    best->chance = draft.verify < best->use ? best->chance * draft.chances[static_cast<size_t>(draft.verify)] : 0;
  }
}

void Speculator::learn(Sequence& s, std::span<const int32_t> outcome) {
  if (mode_ == Speculation::kOff || !s.job.request.speculate) return;
  s.draft.lookup.learn(outcome);
  DraftModel::learn(s, outcome);
}

}  // namespace concerto::engine
