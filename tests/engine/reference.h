// What the engine's arithmetic has to agree with: plain double-precision versions, and the answer that a request must
// get from the scripted model, computed without any engine.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "scripted_model.h"

namespace concerto::engine {

inline float reference_log_sum_exp(const float* x, int n) noexcept {
  double m = x[0];
  for (int i = 1; i < n; ++i) m = std::max(m, static_cast<double>(x[i]));
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]) - m);
  return static_cast<float>(m + std::log(sum));
}

// The whole chain of sampler.h as probabilities [V], sorting everything.
inline std::vector<double> reference_distribution(const std::vector<float>& logits, std::span<const int32_t> history,
                                                  int prompt_tokens, const SamplingParams& params) {
  std::vector<double> z(logits.begin(), logits.end());
  for (const auto& [id, bias] : params.logit_bias) z[static_cast<size_t>(id)] += static_cast<double>(bias);
  const size_t window =
      params.repeat_last_n < 0 ? history.size() : std::min(history.size(), static_cast<size_t>(params.repeat_last_n));
  std::map<int32_t, int> recent, output;
  for (const int32_t id : history.last(window)) ++recent[id];
  for (const int32_t id : history.subspan(static_cast<size_t>(prompt_tokens))) ++output[id];
  const auto r = static_cast<double>(params.repeat_penalty);
  for (const auto& [id, count] : recent) {
    double& v = z[static_cast<size_t>(id)];
    v = v > 0 ? v / r : v * r;
  }
  for (const auto& [id, count] : output) {
    z[static_cast<size_t>(id)] -=
        static_cast<double>(params.presence_penalty) + static_cast<double>(params.frequency_penalty) * count;
  }
  std::vector<size_t> order(z.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
  std::vector<double> p(z.size(), 0.0);
  const auto t = static_cast<double>(params.temperature);
  if (t == 0) {
    p[order[0]] = 1;
    return p;
  }
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < order.size()) {
    order.resize(static_cast<size_t>(params.top_k));
  }
  double total = 0;
  for (const size_t i : order) total += p[i] = std::exp((z[i] - z[order[0]]) / t);
  double reached = 0;
  size_t kept = 0;
  while (kept < order.size() && (kept == 0 || reached < static_cast<double>(params.top_p) * total)) {
    reached += p[order[kept++]];
  }
  for (size_t i = kept; i < order.size(); ++i) p[order[i]] = 0;
  const double best = p[order[0]];
  double sum = 0;
  for (double& v : p) {
    if (v < static_cast<double>(params.min_p) * best) v = 0;
    sum += v;
  }
  for (double& v : p) v /= sum;
  return p;
}

// Output tokens (without the end token) of a request on the scripted model.
inline std::vector<int32_t> reference_answer(const Request& request, int vocab, int max_tokens, bool* stopped) {
  std::vector<int32_t> tokens = request.prompt;
  std::vector<float> logits(static_cast<size_t>(vocab));
  SamplerScratch scratch;
  *stopped = false;
  for (int i = 0; i < max_tokens; ++i) {
    scripted_logits(history_hash(tokens.data(), tokens.size()), vocab, logits.data());
    const int32_t id =
        sample(logits.data(), vocab, tokens, static_cast<int>(request.prompt.size()), request.sampling, &scratch);
    if (id == vocab - 1 && !request.ignore_end) {
      *stopped = true;
      break;
    }
    tokens.push_back(id);
  }
  return {tokens.begin() + static_cast<ptrdiff_t>(request.prompt.size()), tokens.end()};
}

}  // namespace concerto::engine
