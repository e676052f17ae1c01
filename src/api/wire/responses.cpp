#include "api/wire/responses.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/error_map.h"
#include "api/wire/json.h"
#include "base/utf8.h"

namespace concerto::api {
namespace {

using cascade::CascadeEnd;
using cascade::Decision;
using cascade::Delta;
using cascade::FinishReason;
using cascade::TokenInfo;
using cascade::Usage;

constexpr size_t kMaxAnswer = size_t{256} << 10;

std::string_view finish_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      return "tool_calls";
    case FinishReason::kContentFilter:
      return "content_filter";
  }
  return "stop";
}

// A token as text. One that is only a part of a character can't be, so its bytes are spelt out.
std::string token_text(std::string_view bytes) {
  if (base::utf8_valid_prefix(bytes) == bytes.size()) return std::string(bytes);
  std::string out = "bytes:";
  for (const char c : bytes) fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

Json bytes_of(std::string_view bytes) {
  Json out = Json::array();
  for (const char c : bytes) out.push_back(static_cast<unsigned char>(c));
  return out;
}

Json token_json(std::string_view bytes, float logprob) {
  return {{"token", token_text(bytes)}, {"logprob", shortest(logprob)}, {"bytes", bytes_of(bytes)}};
}

// Tokens of the answer under `content`, those of the thinking apart, so that the first match message.content.
Json logprobs_json(const CompletionHead& head, const std::vector<TokenInfo>& tokens) {
  if (!head.logprobs) return nullptr;
  Json content = Json::array();
  Json reasoning = Json::array();
  for (const TokenInfo& token : tokens) {
    Json one = token_json(token.bytes, token.logprob);
    Json top = Json::array();
    for (const auto& other : token.top) {
      if (static_cast<int>(top.size()) >= head.top_logprobs) break;
      top.push_back(token_json(other.bytes, other.logprob));
    }
    one["top_logprobs"] = std::move(top);
    (token.thinking ? reasoning : content).push_back(std::move(one));
  }
  Json out = {{"content", std::move(content)}, {"refusal", nullptr}};
  if (!reasoning.empty()) out["reasoning_content"] = std::move(reasoning);
  return out;
}

Json usage_json(const Usage& usage, int reasoning_tokens) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", reasoning_tokens}}}};
}

double rounded(double ms) { return std::round(ms * 1000.0) / 1000.0; }

Json timings_json(const cascade::End& end) {
  const int computed = std::max(0, end.usage.prompt_tokens - end.usage.cached_tokens);
  const auto rate = [](int tokens, double ms) { return ms > 0 ? rounded(tokens * 1000.0 / ms) : 0.0; };
  return {{"queue_ms", rounded(end.queue_ms)},
          {"cache_n", end.usage.cached_tokens},
          {"prompt_n", computed},
          {"prompt_ms", rounded(end.prompt_ms)},
          {"prompt_per_second", rate(computed, end.prompt_ms)},
          {"predicted_n", end.usage.completion_tokens},
          {"predicted_ms", rounded(end.generate_ms)},
          {"predicted_per_second", rate(end.usage.completion_tokens, end.generate_ms)},
          {"draft_n", end.drafted_tokens},
          {"draft_n_accepted", end.accepted_tokens}};
}

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json concerto_json(const CascadeEnd& end) {
  const Decision& d = end.decision;
  Json attempts = Json::array();
  for (const auto& attempt : d.attempts) {
    attempts.push_back({{"tier", attempt.tier},
                        {"outcome", attempt.outcome},
                        {"confidence", optional_json(attempt.confidence)},
                        {"prompt_tokens", attempt.usage.prompt_tokens},
                        {"completion_tokens", attempt.usage.completion_tokens},
                        {"ms", rounded(attempt.ms)}});
  }
  return {{"tier", d.tier},
          {"reason", d.reason},
          {"confidence", optional_json(d.confidence)},
          {"calibrated", d.calibrated},
          {"case", text_or_null(d.case_id)},
          {"model_id", text_or_null(d.model_id)},
          {"attempts", std::move(attempts)},
          {"total_usage",
           {{"prompt_tokens", end.total.prompt_tokens}, {"completion_tokens", end.total.completion_tokens}}}};
}

int reasoning_of(const std::vector<Choice>& choices) {
  int sum = 0;
  for (const Choice& one : choices) sum += one.reasoning_tokens;
  return sum;
}

Json chunk(const CompletionHead& head, Json choices) {
  Json out = {{"id", head.id},
              {"object", "chat.completion.chunk"},
              {"created", head.created},
              {"model", head.model},
              {"choices", std::move(choices)}};
  if (head.include_usage) out["usage"] = nullptr;
  return out;
}

Json choice_json(int index, Json delta, Json logprobs, Json finish) {
  Json one = {{"index", index},
              {"delta", std::move(delta)},
              {"logprobs", std::move(logprobs)},
              {"finish_reason", std::move(finish)}};
  Json all = Json::array();
  all.push_back(std::move(one));
  return all;
}

Json model_json(const ModelInfo& model) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "concerto"},
          {"concerto",
           {{"kind", model.kind},
            {"model_id", text_or_null(model.model_id)},
            {"context", model.context > 0 ? Json(model.context) : Json(nullptr)}}}};
}

}  // namespace

Usage usage_of(const std::vector<Choice>& choices) {
  Usage sum = choices.front().end.end.usage;
  for (size_t i = 1; i < choices.size(); ++i) sum.completion_tokens += choices[i].end.end.usage.completion_tokens;
  return sum;
}

std::string completion_body(const CompletionHead& head, const std::vector<Choice>& choices) {
  Json all = Json::array();
  for (const Choice& choice : choices) {
    Json message = {{"role", "assistant"}, {"content", choice.whole.content}, {"refusal", nullptr}};
    if (!choice.whole.reasoning.empty()) message["reasoning_content"] = choice.whole.reasoning;
    Json one = {{"index", all.size()},
                {"message", std::move(message)},
                {"logprobs", logprobs_json(head, choice.whole.tokens)},
                {"finish_reason", finish_name(choice.end.end.reason)}};
    if (choices.size() > 1) one["concerto"] = {{"confidence", optional_json(choice.end.decision.confidence)}};
    all.push_back(std::move(one));
  }
  const CascadeEnd& end = choices.front().end;
  const Json out = {{"id", head.id},
                    {"object", "chat.completion"},
                    {"created", head.created},
                    {"model", head.model},
                    {"choices", std::move(all)},
                    {"usage", usage_json(usage_of(choices), reasoning_of(choices))},
                    {"timings", timings_json(end.end)},
                    {"concerto", concerto_json(end)}};
  return dump(out);
}

std::string role_chunk(const CompletionHead& head, int index) {
  return dump(chunk(head, choice_json(index, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr)));
}

std::string delta_chunk(const CompletionHead& head, int index, const Delta& delta) {
  Json fields = Json::object();
  if (!delta.reasoning.empty()) fields["reasoning_content"] = delta.reasoning;
  if (!delta.content.empty() || delta.reasoning.empty()) fields["content"] = delta.content;
  return dump(chunk(head, choice_json(index, std::move(fields), logprobs_json(head, delta.tokens), nullptr)));
}

std::string finish_chunk(const CompletionHead& head, int index, const Choice& choice) {
  Json out = chunk(head, choice_json(index, Json::object(), nullptr, finish_name(choice.end.end.reason)));
  out["timings"] = timings_json(choice.end.end);
  Json concerto = concerto_json(choice.end);
  concerto["usage"] = usage_json(choice.end.end.usage, choice.reasoning_tokens);
  out["concerto"] = std::move(concerto);
  return dump(out);
}

std::string usage_chunk(const CompletionHead& head, const std::vector<Choice>& choices) {
  Json out = chunk(head, Json::array());
  out["usage"] = usage_json(usage_of(choices), reasoning_of(choices));
  return dump(out);
}

std::string models_body(const std::vector<ModelInfo>& models) {
  Json data = Json::array();
  for (const ModelInfo& model : models) data.push_back(model_json(model));
  return dump({{"object", "list"}, {"data", std::move(data)}});
}

std::string model_body(const ModelInfo& model) { return dump(model_json(model)); }

std::string case_body(const CaseInfo& info) {
  return dump({{"id", info.id},
               {"object", "concerto.case"},
               {"state", info.state},
               {"label", info.label},
               {"reason", info.reason},
               {"question", info.question},
               {"answer", text_or_null(info.answer)},
               {"answered_by", text_or_null(info.answered_by)},
               {"created_ms", info.created_ms},
               {"answered_ms", info.answered_ms ? Json(*info.answered_ms) : Json(nullptr)}});
}

base::Result<CaseAnswer> parse_case_answer(std::string_view body) {
  TRY(const Json object, parse_object(body));
  const FieldReader reader(object, "");
  CaseAnswer answer;
  TRY_STATUS(reader.required_string("answer", kMaxAnswer, &answer.answer));
  TRY_STATUS(reader.string("answered_by", 256, &answer.answered_by));
  for (const auto& [key, value] : object.items()) {
    if (key != "answer" && key != "answered_by") {
      return base::fail(base::Code::kInvalidArgument,
                        fmt::format("{}: unknown field; expected answer and answered_by", key), key);
    }
  }
  return answer;
}

std::string health_body(bool ok, std::string_view reason) {
  Json out = {{"status", ok ? "ok" : "unavailable"}};
  if (!reason.empty()) out["reason"] = reason;
  return dump(out);
}

std::string error_body(std::string_view message, std::string_view type, std::string_view param, std::string_view code) {
  return dump({{"error",
                {{"message", message},
                 {"type", type},
                 {"param", param.empty() ? Json(nullptr) : Json(param)},
                 {"code", code}}}});
}

}  // namespace concerto::api
