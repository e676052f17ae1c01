#include "engine/draft_model.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "engine/lane_exp.h"

namespace concerto::engine {
namespace {

constexpr auto kBlock = static_cast<size_t>(kernels::kKvBlockTokens);
constexpr float kNever = -1e30F;      // the logit of an id that the draft model does not know
constexpr double kCatchUpSpeed = 10;  // tokens of a prompt in the time of a decoding pass: 8 to 12, by the model
constexpr size_t kLongestPause = 2048;

size_t kind_of(float probability) noexcept {
  constexpr std::array<float, ModelDraft::kKinds - 1> kBounds = {0.3F, 0.5F, 0.7F, 0.9F, 0.97F};
  return static_cast<size_t>(std::upper_bound(kBounds.begin(), kBounds.end(), probability) - kBounds.begin());
}

}  // namespace

DraftModel::DraftModel(const DraftModelParts& parts)
    : parts_(parts), vocab_(parts.model->config().n_vocab), relative_cost_(parts.relative_cost) {
  for (int b = parts.kv->blocks() - 1; b >= 0; --b) free_.push_back(b);
  row_.resize(static_cast<size_t>(parts.target_vocab));
}

double DraftModel::gain(const Sequence& s, int most, double token_cost) const {
  const ModelDraft& draft = s.draft.model;
  if (s.tokens.size() < draft.resume_at) return 1;
  double best = 1;
  double reach = 1;
  double tokens = 1;
  for (int k = 1; k <= most; ++k) {
    reach *= draft.all.chance(0);
    tokens += reach;
    best = std::max(best, tokens / (1 + k * (token_cost + relative_cost_)));
  }
  return best;
}

bool DraftModel::grow(ModelDraft* draft, size_t tokens) {
  while (draft->blocks.size() * kBlock < tokens) {
    if (free_.empty()) return false;
    draft->blocks.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

// False when s can't be guessed for in this pass.
bool DraftModel::prepare(Sequence& s, int most, int* catch_up) {
  ModelDraft& draft = s.draft.model;
  // Ids beyond its vocabulary are the padding of a bigger table: no text has them.
  if (std::ranges::any_of(s.tokens, [this](int32_t id) { return id >= vocab_; })) {
    draft.resume_at = SIZE_MAX;
    return false;
  }
  const auto same = std::ranges::mismatch(draft.seen, s.tokens).in1 - draft.seen.begin();
  draft.seen.resize(std::min(static_cast<size_t>(same), s.tokens.size() - 1));
  if (!grow(&draft, s.tokens.size() + static_cast<size_t>(most))) {
    forget(s);
    draft.resume_at = s.tokens.size() + draft.pause;
    return false;
  }
  const auto pending = static_cast<int>(s.tokens.size() - draft.seen.size());
  if (pending <= kCatchUp) return true;
  // Nobody knows how long an answer gets: what catching up takes is spent once as much was lost without.
  if (draft.missed < pending * relative_cost_ / kCatchUpSpeed) return false;
  const int count = std::min(*catch_up, pending - 1);
  if (count > 0) compute(s, draft.seen.size(), draft.seen.size() + static_cast<size_t>(count));
  *catch_up -= count;
  return false;
}

void DraftModel::compute(Sequence& s, size_t from, size_t to) {
  std::vector<model::BatchToken> tokens;
  for (size_t p = from; p < to; ++p) tokens.push_back({s.tokens[p], static_cast<int32_t>(p), 0});
  const std::array<std::span<const int32_t>, 1> tables{s.draft.model.blocks};
  parts_.model->forward({tokens, tables, {}}, parts_.kv->base(), nullptr, *parts_.pool);
  s.draft.model.seen.assign(s.tokens.begin(), s.tokens.begin() + static_cast<ptrdiff_t>(to));
}

void DraftModel::propose(std::span<Sequence* const> sequences, int most, const TargetCost& cost) {
  std::vector<Ask> asks;
  int catch_up = kCatchUp;
  for (Sequence* s : sequences) {
    ModelDraft& draft = s->draft.model;
    draft.pass();
    if (s->tokens.size() < draft.resume_at || most < 1) continue;
    if (draft.all.chance(0) <= relative_cost_ + cost.token) {
      draft.resume_at = s->tokens.size() + draft.pause;
      draft.pause = std::min(2 * draft.pause, kLongestPause);
      draft.all = ModelDraft{}.all;
      draft.missed = 0;
      continue;
    }
    if (prepare(*s, most, &catch_up)) asks.push_back({s});
  }
  for (int guesses = 1; guesses <= most && !asks.empty(); ++guesses) {
    int64_t ns = 0;
    run(asks, &ns);
    if (guesses > 1 && ns > 0 && cost.pass_ns > 0) {  // the first pass also computes what the target said
      relative_cost_ += 0.1 * (static_cast<double>(ns) / cost.pass_ns - relative_cost_);
    }
    const double step = relative_cost_ / static_cast<double>(asks.size()) + cost.token;
    std::erase_if(asks, [&](const Ask& ask) {
      // What one more guess would add, against what the time yields so far.
      const double rate = ask.expected / (1 + guesses * (relative_cost_ + cost.token));
      return !ask.open || ask.reach * ask.sequence->draft.model.all.chance(0) <= rate * step;
    });
  }
}

// One pass: what each sequence lacks, and a guess drawn from its last logits.
void DraftModel::run(std::span<Ask> asks, int64_t* ns) {
  std::vector<model::BatchToken> tokens;
  std::vector<std::span<const int32_t>> tables;
  std::vector<int32_t> rows;
  for (size_t i = 0; i < asks.size(); ++i) {
    Sequence& s = *asks[i].sequence;
    ModelDraft& draft = s.draft.model;
    const auto all = s.tokens.size() + draft.guess.size();
    for (size_t p = draft.seen.size(); p < all; ++p) {
      const int32_t id = p < s.tokens.size() ? s.tokens[p] : draft.guess[p - s.tokens.size()];
      tokens.push_back({id, static_cast<int32_t>(p), static_cast<int32_t>(i)});
      draft.seen.push_back(id);
    }
    tables.emplace_back(draft.blocks);
    rows.push_back(static_cast<int32_t>(tokens.size()) - 1);
  }
  logits_.resize(std::max(logits_.size(), asks.size() * static_cast<size_t>(vocab_)));
  const int64_t begin = parts_.clock->now_ns();
  parts_.model->forward({tokens, tables, rows}, parts_.kv->base(), logits_.data(), *parts_.pool);
  for (size_t i = 0; i < asks.size(); ++i) draw(asks[i], logits_.data() + i * static_cast<size_t>(vocab_));
  *ns = parts_.clock->now_ns() - begin;
}

void DraftModel::draw(Ask& ask, const float* logits) {
  Sequence& s = *ask.sequence;
  ModelDraft& draft = s.draft.model;
  const float sum = parts_.log_sum_exp(logits, vocab_);
  ask.open = std::isfinite(sum);
  if (!ask.open) return;
  // The sampler sees the target's vocabulary: biases and penalties may name any id of it.
  const int shared = std::min(vocab_, parts_.target_vocab);
  std::copy_n(logits, shared, row_.begin());
  std::fill(row_.begin() + shared, row_.end(), kNever);
  history_.assign(s.tokens.begin(), s.tokens.end());
  history_.insert(history_.end(), draft.guess.begin(), draft.guess.end());
  const int32_t id =
      sample(row_.data(), parts_.target_vocab, history_, s.prompt_tokens, s.job.request.sampling, &sampler_);
  if (id >= shared) {
    ask.open = false;
    return;
  }
  draft.guess.push_back(id);
  draft.kinds.push_back(kind_of(lane_exp(std::min(0.0F, logits[id] - sum))));
  ask.reach *= chance(s, draft.guess.size() - 1);
  ask.expected += ask.reach;
}

void DraftModel::learn(Sequence& s, std::span<const int32_t> outcome) {
  ModelDraft& draft = s.draft.model;
  if (draft.guess.empty()) return;
  draft.evidence.fade();
  draft.all.fade();
  for (size_t i = 0; i < std::min(draft.guess.size(), outcome.size()); ++i) {
    const bool right = draft.guess[i] == outcome[i];
    draft.evidence.add(draft.kinds[i], right);
    draft.all.add(0, right);
    if (!right) break;
  }
}

void DraftModel::forget(Sequence& s) {
  ModelDraft& draft = s.draft.model;
  free_.insert(free_.end(), draft.blocks.begin(), draft.blocks.end());
  draft.blocks.clear();
  draft.seen.clear();
  draft.pass();
}

}  // namespace concerto::engine
