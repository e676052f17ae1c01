#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "engine/lane_exp.h"
#include "engine/lane_sums.h"
#include "engine/random.h"

namespace concerto::engine {
namespace {

constexpr int kSumBlock = 1024;  // weights are summed per block, then the blocks in order
constexpr size_t kSortAtOnce = 1024;
constexpr int kScanBlock = 64;  // weights tested at once against the least that matters

void change(float* logits, int32_t id, float value, SamplerScratch* s) {
  s->changed.emplace_back(id, logits[id]);
  logits[id] = value;
}

// Counts ids into s->counts, listing them in order of first appearance.
void count_ids(std::span<const int32_t> ids, int vocab, SamplerScratch* s) {
  s->counts.resize(static_cast<size_t>(vocab), 0);
  for (const int32_t id : ids) {
    if (s->counts[static_cast<size_t>(id)]++ == 0) s->touched.push_back(id);
  }
}

void clear_counts(SamplerScratch* s) {
  for (const int32_t id : s->touched) s->counts[static_cast<size_t>(id)] = 0;
  s->touched.clear();
}

void penalise(float* logits, int vocab, std::span<const int32_t> history, int prompt_tokens,
              const SamplingParams& params, SamplerScratch* s) {
  for (const auto& [id, bias] : params.logit_bias) change(logits, id, logits[id] + bias, s);
  if (params.repeat_penalty != 1.0F && params.repeat_last_n != 0) {
    const size_t window =
        params.repeat_last_n < 0 ? history.size() : std::min(history.size(), static_cast<size_t>(params.repeat_last_n));
    count_ids(history.last(window), vocab, s);
    for (const int32_t id : s->touched) {
      const float z = logits[id];
      change(logits, id, z > 0 ? z / params.repeat_penalty : z * params.repeat_penalty, s);
    }
    clear_counts(s);
  }
  if (params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F) {
    count_ids(history.subspan(static_cast<size_t>(prompt_tokens)), vocab, s);
    for (const int32_t id : s->touched) {
      const auto count = static_cast<float>(s->counts[static_cast<size_t>(id)]);
      change(logits, id, logits[id] - (params.presence_penalty + params.frequency_penalty * count), s);
    }
    clear_counts(s);
  }
}

void restore(float* logits, SamplerScratch* s) {
  for (auto it = s->changed.rbegin(); it != s->changed.rend(); ++it) logits[it->first] = it->second;
  s->changed.clear();
}

// The weight of a logit.
struct Weigh {
  float best;
  float inverse_t;
  [[nodiscard]] float of(float logit) const noexcept { return lane_exp((logit - best) * inverse_t); }
  float operator()(const Candidate& c) const noexcept { return of(c.value); }
};

// weights[i] = weigh(z[i]) for the whole row; returns their sum, and that of each kSumBlock in blocks[].value.
double weigh_all(const float* logits, int vocab, const Weigh& weigh, float* weights, std::vector<Candidate>* blocks) {
  blocks->clear();
  double total = 0;
  for (int begin = 0; begin < vocab; begin += kSumBlock) {
    const int end = std::min(begin + kSumBlock, vocab);
    const float sum =
        lane_loops().exp_weights(logits + begin, end - begin, weigh.best, weigh.inverse_t, weights + begin);
    blocks->push_back({sum, begin});
    total += static_cast<double>(sum);
  }
  return total;
}

// One id of the whole row, by its weights.
int32_t draw_all(const float* weights, int vocab, const std::vector<Candidate>& blocks, double total, double u) {
  double left = u * total;
  for (const Candidate& block : blocks) {
    if (left >= static_cast<double>(block.value)) {
      left -= static_cast<double>(block.value);
      continue;
    }
    const int end = std::min(block.id + kSumBlock, vocab);
    int32_t last = -1;
    for (int i = block.id; i < end; ++i) {
      if (weights[i] <= 0) continue;
      last = i;
      if (left < static_cast<double>(weights[i])) return i;
      left -= static_cast<double>(weights[i]);
    }
    if (last >= 0) return last;  // the block's float sum exceeded its parts' by a rounding
  }
  return argmax(weights, vocab);  // u * total rounded up to the total
}

// A key that orders floats as < does, equal for both zeros; its upper half names a bucket.
uint32_t bucket_of(float value) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(value + 0.0F);
  return ((bits >> 31) != 0 ? ~bits : bits | 0x80000000U) >> 16;
}

// Of a long list, only the bucket in which the nucleus ends needs to be sorted: puts the better buckets first, in order
// of id, then that one; drops the rest. Returns the weight of the better buckets and their number of candidates.
std::pair<double, size_t> keep_best_buckets(const Weigh& weigh, double goal, SamplerScratch* s) {
  s->buckets.assign(size_t{1} << 16, 0.0);
  for (const Candidate& c : s->candidates) s->buckets[bucket_of(c.value)] += static_cast<double>(weigh(c));
  double reached = 0;
  size_t last = s->buckets.size() - 1;
  while (last > 0 && reached + s->buckets[last] < goal) reached += s->buckets[last--];
  std::erase_if(s->candidates, [&](const Candidate& c) { return bucket_of(c.value) < last; });
  const auto middle = std::stable_partition(s->candidates.begin(), s->candidates.end(),
                                            [&](const Candidate& c) { return bucket_of(c.value) > last; });
  return {reached, static_cast<size_t>(middle - s->candidates.begin())};
}

// Keeps the fewest best candidates whose weights reach `goal`.
void keep_nucleus(const Weigh& weigh, double goal, SamplerScratch* s) {
  std::vector<Candidate>& c = s->candidates;
  double reached = 0;
  size_t taken = 0;
  if (c.size() > kSortAtOnce) std::tie(reached, taken) = keep_best_buckets(weigh, goal, s);
  std::sort(c.begin() + static_cast<ptrdiff_t>(taken), c.end(), ranks_before);
  while (taken < c.size() && (taken == 0 || reached < goal)) reached += static_cast<double>(weigh(c[taken++]));
  c.resize(taken);
}

// One of the candidates, by its weight; the values become the weights.
int32_t draw(const Weigh& weigh, double u, std::vector<Candidate>* c) {
  double total = 0;
  for (Candidate& candidate : *c) {
    candidate.value = weigh(candidate);
    total += static_cast<double>(candidate.value);
  }
  double left = u * total;
  for (const Candidate& candidate : *c) {
    if (left < static_cast<double>(candidate.value)) return candidate.id;
    left -= static_cast<double>(candidate.value);
  }
  return c->front().id;  // u * total rounded up to the total
}

int32_t choose(const float* logits, int vocab, const SamplingParams& params, double u, SamplerScratch* s) {
  const bool by_k = params.top_k > 0 && params.top_k < vocab;
  const bool by_p = params.top_p < 1.0F;
  const bool by_min = params.min_p > 0.0F;
  const Weigh weigh{logits[argmax(logits, vocab)], 1.0F / params.temperature};
  auto& c = s->candidates;
  double total = 0;
  if (by_k) {
    select_top(logits, vocab, params.top_k, &c);
    for (const Candidate& candidate : c) total += static_cast<double>(weigh(candidate));
  } else {
    s->weights.resize(static_cast<size_t>(vocab));
    float* w = s->weights.data();
    total = weigh_all(logits, vocab, weigh, w, &c);
    if (!by_p && !by_min) return draw_all(w, vocab, c, total, u);
    // Weights below `floor` can't matter: all of them together weigh less than what top_p leaves out.
    const double floor =
        by_p ? (1.0 - static_cast<double>(params.top_p)) * total / vocab : static_cast<double>(params.min_p);
    c.clear();
    for (int begin = 0; begin < vocab; begin += kScanBlock) {
      const int end = std::min(begin + kScanBlock, vocab);
      if (static_cast<double>(lane_loops().max(w + begin, end - begin)) < floor) continue;
      for (int i = begin; i < end; ++i) {
        if (w[i] > 0 && static_cast<double>(w[i]) >= floor) c.push_back({logits[i], i});
      }
    }
  }
  if (by_p) keep_nucleus(weigh, static_cast<double>(params.top_p) * total, s);
  if (by_min) std::erase_if(c, [&](const Candidate& candidate) { return weigh(candidate) < params.min_p; });
  return draw(weigh, u, &c);
}

}  // namespace

int32_t sample(float* logits, int vocab, std::span<const int32_t> history, int prompt_tokens,
               const SamplingParams& params, SamplerScratch* scratch) {
  penalise(logits, vocab, history, prompt_tokens, params, scratch);
  int32_t id = 0;
  if (params.temperature < kGreedyTemperature) {
    id = argmax(logits, vocab);
  } else {
    id = choose(logits, vocab, params, uniform_draw(params.seed, params.choice, static_cast<uint32_t>(history.size())),
                scratch);
  }
  restore(logits, scratch);
  return id;
}

}  // namespace concerto::engine
