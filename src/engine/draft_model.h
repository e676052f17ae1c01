// DraftModel: a small model with the target's vocabulary that guesses the next tokens of sequences a big one answers.
//
// It draws with the request's own sampler, keyed as the target's draws are: where the two models think alike they then
// also draw alike, at any temperature. It keeps K and V of its own for each sequence, in a pool of its own, and drops
// what the target did not say. A long prompt is computed kCatchUp tokens a pass before it guesses, and only once
// guesses from earlier text have served badly for long enough to make up for that.
//
// Whether it pays is measured: by how often its guesses of each certainty were right, and by what a pass of it takes
// beside a pass of the target. A sequence for which it does not is left alone for a while, longer each time.
// Belongs to the engine's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "engine/kv_pool.h"
#include "engine/sampler.h"
#include "engine/sequence.h"
#include "engine/signals.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace concerto::engine {

// What a DraftModel works with; all of it outlives it.
struct DraftModelParts {
  model::Model* model = nullptr;
  base::ThreadPool* pool = nullptr;
  KvPool* kv = nullptr;  // its own, in the layout of `model`
  LogSumExp log_sum_exp = nullptr;
  const base::Clock* clock = nullptr;
  int target_vocab = 0;
  double relative_cost = 0.3;  // of a pass of it, in passes of the target; until measured
};

class DraftModel {
 public:
  static constexpr int kCatchUp = 64;

  explicit DraftModel(const DraftModelParts& parts);

  // What a pass of the target costs: of one token in ns, 0: unknown; one more token of it, in such passes.
  struct TargetCost {
    double pass_ns = 0;
    double token = 0;
  };
  // Tokens a pass's time yields with guesses by this model, at best; 1 when they do not pay.
  [[nodiscard]] double gain(const Sequence& s, int most, double token_cost) const;
  // Leaves guesses in draft.model.guess of those of `sequences` for which they are worth it, at most `most` each.
  void propose(std::span<Sequence* const> sequences, int most, const TargetCost& cost);
  [[nodiscard]] static double chance(const Sequence& s, size_t i) noexcept {
    return s.draft.model.evidence.chance(s.draft.model.kinds[i]);
  }
  // The tokens that followed, at least one.
  static void learn(Sequence& s, std::span<const int32_t> outcome);
  // Gives the sequence's blocks back.
  void forget(Sequence& s);

  [[nodiscard]] int blocks_free() const noexcept { return static_cast<int>(free_.size()); }

 private:
  // One sequence in the passes of a proposal.
  struct Ask {
    Sequence* sequence = nullptr;
    double reach = 1;     // the chance that all guesses so far are right
    double expected = 1;  // tokens of the target's pass
    bool open = true;
  };
  bool grow(ModelDraft* draft, size_t tokens);
  bool prepare(Sequence& s, int most, int* catch_up);
  void run(std::span<Ask> asks, int64_t* ns);
  void draw(Ask& ask, const float* logits);
  void compute(Sequence& s, size_t from, size_t to);

  DraftModelParts parts_;
  int vocab_;
  std::vector<int32_t> free_;
  double relative_cost_;
  std::vector<float> logits_;  // [asks, V]
  std::vector<float> row_;     // [target's V]
  std::vector<int32_t> history_;
  SamplerScratch sampler_;
};

}  // namespace concerto::engine
