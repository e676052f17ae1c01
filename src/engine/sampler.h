// Sampler: from a row of logits to a token id. A pure function of (logits, history, parameters, position).
//
// The chain, in order (penalties as llama.cpp and vLLM order them, the rest as Hugging Face's generate, for which the
// generation_config.json of these models is written):
//   1. logit_bias             z += bias
//   2. repeat_penalty         z > 0 ? z / r : z * r, once per distinct id of the last repeat_last_n of prompt + output
//                             (CTRL, Keskar et al. 2019)
//   3. presence, frequency    z -= presence + frequency * count, counts over the output (OpenAI)
//   4. temperature            z /= T; below kGreedyTemperature: the best id (the lowest of equal ones), the end
//   5. top_k                  the k best
//   6. top_p                  of those, the fewest best whose probability reaches top_p
//   7. min_p                  of those, the ones with p >= min_p * p(best)
//   8. one draw of Philox keyed by (seed, choice, position)
// Weights are lane_exp's, sums run in a fixed order: the same bits everywhere. No libm, no full sort.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/request.h"
#include "engine/top_select.h"

namespace concerto::engine {

inline constexpr float kGreedyTemperature = 1e-4F;

// What one thread needs to sample; reused from row to row.
struct SamplerScratch {
  std::vector<Candidate> candidates;
  std::vector<float> weights;                      // [V]
  std::vector<double> buckets;                     // of a long nucleus
  std::vector<int32_t> counts;                     // [V], all zero between calls
  std::vector<int32_t> touched;                    // ids whose count is not zero
  std::vector<std::pair<int32_t, float>> changed;  // logits before the penalties, to be put back
};

// logits: [V], finite; changed inside, the same again on return. history: prompt + output, of which the first
// `prompt_tokens` are the prompt. The position drawn for is history.size().
int32_t sample(float* logits, int vocab, std::span<const int32_t> history, int prompt_tokens,
               const SamplingParams& params, SamplerScratch* scratch);

}  // namespace concerto::engine
