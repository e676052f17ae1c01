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

// One of the answers to a request.
struct Choice {
  cascade::Delta whole;      // the deltas put together; of a stream only the tokens of the thinking are counted
  int reasoning_tokens = 0;  // the same number, counted on the way
  cascade::CascadeEnd end;
};

// Of all choices: the prompt once, as each is an answer to the same one.
cascade::Usage usage_of(const std::vector<Choice>& choices);

// The response of a request without stream. choices[0] is the one that was routed: timings and "concerto" are its.
std::string completion_body(const CompletionHead& head, const std::vector<Choice>& choices);

// The chunks of a stream, in order: of each choice role, deltas, finish; then usage when it was asked for. JSON, not
// yet framed.
std::string role_chunk(const CompletionHead& head, int index);
std::string delta_chunk(const CompletionHead& head, int index, const cascade::Delta& delta);
std::string finish_chunk(const CompletionHead& head, int index, const Choice& choice);
std::string usage_chunk(const CompletionHead& head, const std::vector<Choice>& choices);

std::string models_body(const std::vector<ModelInfo>& models);
std::string model_body(const ModelInfo& model);

std::string case_body(const CaseInfo& info);
// The body of POST /v1/cases/{id}/answer.
base::Result<CaseAnswer> parse_case_answer(std::string_view body);

// {"status": "ok"} or {"status": "unavailable", "reason": ...}
std::string health_body(bool ok, std::string_view reason);

}  // namespace concerto::api
