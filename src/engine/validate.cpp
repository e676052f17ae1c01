#include "engine/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace concerto::engine {
namespace {

using base::Code;

base::Status in_range(const char* param, float value, float low, float high) {
  if (value >= low && value <= high) return {};  // false for NaN
  return base::fail(Code::kInvalidArgument, fmt::format("{}: expected {} to {}, found {}", param, low, high, value),
                    param);
}

base::Status check_id(const char* param, int32_t id, int vocab) {
  if (id >= 0 && id < vocab) return {};
  return base::fail(Code::kInvalidArgument,
                    fmt::format("{}: expected token ids 0 to {}, found {}", param, vocab - 1, id), param);
}

base::Status check_sampling(const SamplingParams& p, int vocab) {
  TRY_STATUS(in_range("temperature", p.temperature, 0, 100));
  TRY_STATUS(in_range("top_p", p.top_p, 0, 1));
  TRY_STATUS(in_range("min_p", p.min_p, 0, 1));
  TRY_STATUS(in_range("repeat_penalty", p.repeat_penalty, 0.01F, 100));
  TRY_STATUS(in_range("presence_penalty", p.presence_penalty, -100, 100));
  TRY_STATUS(in_range("frequency_penalty", p.frequency_penalty, -100, 100));
  if (p.top_k < 0) {
    return base::fail(Code::kInvalidArgument, fmt::format("top_k: expected 0 (off) or more, found {}", p.top_k),
                      "top_k");
  }
  if (p.repeat_last_n < -1) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("repeat_last_n: expected -1 (the whole context) or more, found {}", p.repeat_last_n),
                      "repeat_last_n");
  }
  for (const auto& [id, bias] : p.logit_bias) {
    TRY_STATUS(check_id("logit_bias", id, vocab));
    TRY_STATUS(in_range("logit_bias", bias, -1000, 1000));
  }
  return {};
}

}  // namespace

base::Status validate(const RequestLimits& limits, Request* request) {
  if (request->prompt.empty()) {
    return base::fail(Code::kInvalidArgument, "prompt: expected at least one token, found none", "prompt");
  }
  for (const int32_t id : request->prompt) TRY_STATUS(check_id("prompt", id, limits.vocab));
  if (request->max_tokens < -1) {
    return base::fail(
        Code::kInvalidArgument,
        fmt::format("max_tokens: expected -1 (what the context holds) or more, found {}", request->max_tokens),
        "max_tokens");
  }
  if (request->top_logprobs < 0 || request->top_logprobs > 20) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("top_logprobs: expected 0 to 20, found {}", request->top_logprobs), "top_logprobs");
  }
  if (request->prompt_logprobs &&
      (request->logprobs_from < 1 || static_cast<size_t>(request->logprobs_from) > request->prompt.size())) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("logprobs_from: expected a position from 1 to the prompt's {} tokens, found {}",
                                  request->prompt.size(), request->logprobs_from),
                      "logprobs_from");
  }
  TRY_STATUS(check_sampling(request->sampling, limits.vocab));

  const size_t prompt = request->prompt.size();
  const size_t wanted = prompt + (request->max_tokens == 0 ? 0 : 1);
  if (wanted > static_cast<size_t>(limits.context)) {
    return base::fail(Code::kContextLength,
                      fmt::format("prompt: expected at most {} tokens (context of {}{}{}), found {}",
                                  limits.context - (request->max_tokens == 0 ? 0 : 1), limits.context,
                                  limits.by_memory ? ", all that the memory holds" : "",
                                  request->max_tokens == 0 ? "" : ", one left for the answer", prompt),
                      "prompt");
  }
  const int room = limits.context - static_cast<int>(prompt);
  request->max_tokens = request->max_tokens < 0 ? room : std::min(request->max_tokens, room);
  return {};
}

}  // namespace concerto::engine
