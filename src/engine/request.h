// What one generation is asked for and what it reports, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/cancel_token.h"
#include "base/result.h"

namespace concerto::engine {

struct SamplingParams {
  float temperature = 0.7F;       // 0: greedy
  int top_k = 0;                  // 0: off
  float top_p = 1.0F;             // 1: off
  float min_p = 0.0F;             // 0: off
  float repeat_penalty = 1.0F;    // 1: off; over the last repeat_last_n tokens of prompt + output
  int repeat_last_n = 64;         // -1: the whole context
  float presence_penalty = 0.0F;  // over the output, as OpenAI defines them
  float frequency_penalty = 0.0F;
  uint64_t seed = 0;    // draws are keyed by (seed, choice, position): no hidden state
  uint32_t choice = 0;  // 0..n-1 of the request's n
  std::vector<std::pair<int32_t, float>> logit_bias;
};

struct Request {
  std::vector<int32_t> prompt;  // at least one id
  int max_tokens = -1;          // -1, or more than the context holds: as many as it holds. 0: only the prompt
  SamplingParams sampling;
  int top_logprobs = 0;          // alternatives reported with each token, 0..20
  bool ignore_end = false;       // go on past end tokens (bench)
  bool prompt_logprobs = false;  // report the log-probability of each prompt token (ppl, echo) ...
  int logprobs_from = 1;         // ... from this position on: what stands before may come from the prefix cache
  bool speculate = true;         // false: no guesses for this one (bench)
  std::string cache_salt;        // separates tenants in the prefix cache
};

struct TopLogprob {
  int32_t id = 0;
  float logprob = 0;
};

// One generated token. The end token that stops an answer is not reported (FinishReason::kStop says it), nor counted.
// Signals come from the model's raw distribution (temperature 1, before penalties, bias and masks).
struct TokenEvent {
  int32_t id = 0;
  float logprob = 0;            // ln p(id)
  float margin = 0;             // p(best) - p(second)
  float entropy = 0;            // nats
  std::vector<TopLogprob> top;  // descending, `top_logprobs` of them
};

struct PromptEvent {  // once, after the prompt was computed
  int prompt_tokens = 0;
  int cached_tokens = 0;
  std::vector<float> logprobs;  // with prompt_logprobs: [prompt_tokens - logprobs_from], of the tokens from there on
};

enum class FinishReason { kStop, kLength, kCancelled };

struct Timings {
  double queue_ms = 0;
  double prompt_ms = 0;
  double generate_ms = 0;
};

struct FinishEvent {
  FinishReason reason = FinishReason::kStop;
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int completion_tokens = 0;
  Timings timings;
  int drafted_tokens = 0;   // guesses of the next tokens that passes computed
  int accepted_tokens = 0;  // of those, the right ones
};

// An Error ends the request as FinishEvent does. Exactly one of the two is the last event.
using Event = std::variant<PromptEvent, TokenEvent, FinishEvent, base::Error>;
// Called on the engine's thread: must return quickly and never block.
using Sink = std::function<void(Event&&)>;

}  // namespace concerto::engine
