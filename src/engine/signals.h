// What the model itself thought of a token: log-probability, margin, entropy, alternatives, from its raw logits.
//
// Fixed order: the log-sum-exp is the kernel table's; the entropy's sums run on 16 lanes and the table's tree. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/request.h"
#include "engine/top_select.h"
#include "kernels/kernels.h"

namespace concerto::engine {

using LogSumExp = float (*)(const float* x, int n) noexcept;  // KernelTable::log_sum_exp

struct RowSignals {
  float log_sum_exp = 0;
  float margin = 0;            // p(best) - p(second)
  float entropy = 0;           // nats, >= 0
  bool finite = true;          // false: the row holds a NaN or an infinity, the rest means nothing
  std::vector<Candidate> top;  // max(2, top) largest logits, descending
};

// logits: [V]. top: how many alternatives are wanted.
void read_signals(const float* logits, int vocab, int top, LogSumExp log_sum_exp, RowSignals* out);

// The event of token `id`, chosen from this row.
TokenEvent token_event(const RowSignals& row, const float* logits, int32_t id, int top);

}  // namespace concerto::engine
