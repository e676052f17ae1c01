// Bodies of responses as JSON text. Pure: any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/service.h"
#include "base/result.h"
#include "cascade/cascade.h"

namespace concerto::api {

// What every chunk of one completion repeats.
struct CompletionHead {
  std::string id;       // "chatcmpl-..."
  std::string model;    // as requested
  int64_t created = 0;  // seconds since 1970
  bool logprobs = false;
  int top_logprobs = 0;
  bool include_usage = false;
};

// The answer of a request without stream, from the deltas put together.
std::string completion_body(const CompletionHead& head, const cascade::Delta& whole, const cascade::CascadeEnd& end);

// The chunks of a stream, in order: role, deltas, finish, and usage when it was asked for. JSON, not yet framed.
std::string role_chunk(const CompletionHead& head);
std::string delta_chunk(const CompletionHead& head, const cascade::Delta& delta);
std::string finish_chunk(const CompletionHead& head, const cascade::CascadeEnd& end, int reasoning_tokens);
std::string usage_chunk(const CompletionHead& head, const cascade::CascadeEnd& end, int reasoning_tokens);

std::string models_body(const std::vector<ModelInfo>& models);
std::string model_body(const ModelInfo& model);

std::string case_body(const CaseInfo& info);
// The body of POST /v1/cases/{id}/answer.
base::Result<CaseAnswer> parse_case_answer(std::string_view body);

// {"status": "ok"} or {"status": "unavailable", "reason": ...}
std::string health_body(bool ok, std::string_view reason);

}  // namespace concerto::api
