#include "engine/signals.h"

#include <algorithm>
#include <cmath>

#include "engine/lane_exp.h"
#include "engine/lane_sums.h"

namespace concerto::engine {
void read_signals(const float* logits, int vocab, int top, LogSumExp log_sum_exp, RowSignals* out) {
  select_top(logits, vocab, std::max(2, top), &out->top);
  const float best = out->top[0].value;
  const ExpMoments sums = lane_loops().exp_moments(logits, vocab, best);
  out->finite = std::isfinite(sums.moment) && std::isfinite(best);
  if (!out->finite) return;
  out->log_sum_exp = log_sum_exp(logits, vocab);
  // H = ln Z - E[x] with x and Z relative to the best logit.
  out->entropy = std::max(0.0F, (out->log_sum_exp - best) - sums.moment / sums.weight);
  const auto probability = [&](const Candidate& c) { return lane_exp(std::min(0.0F, c.value - out->log_sum_exp)); };
  out->margin = probability(out->top[0]) - (out->top.size() > 1 ? probability(out->top[1]) : 0.0F);
}

TokenEvent token_event(const RowSignals& row, const float* logits, int32_t id, int top) {
  TokenEvent event;
  event.id = id;
  event.logprob = std::min(0.0F, logits[id] - row.log_sum_exp);
  event.margin = row.margin;
  event.entropy = row.entropy;
  const size_t count = std::min(row.top.size(), static_cast<size_t>(std::max(0, top)));
  for (size_t i = 0; i < count; ++i) {
    event.top.push_back({row.top[i].id, std::min(0.0F, row.top[i].value - row.log_sum_exp)});
  }
  return event;
}

}  // namespace concerto::engine
