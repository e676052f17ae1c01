#include "cascade/upstream_wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "cascade/confidence.h"

namespace concerto::cascade {
namespace {

using base::Code;
using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 32;  // of an answer; an upstream decides what it sends

struct TooDeep {};

std::optional<Json> parse(std::string_view text) {
  const auto check = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) throw TooDeep();
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const TooDeep&) {
    return std::nullopt;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string text_of(const Json& object, const char* name) {
  const Json* value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

int count_of(const Json& object, const char* name) {
  const Json* value = member(object, name);
  if (value == nullptr || !value->is_number_integer()) return 0;
  const auto count = value->get<int64_t>();
  return count > 0 && count < (int64_t{1} << 30) ? static_cast<int>(count) : 0;
}

Json message_json(const ChatMessage& message) {
  Json out = {{"role", message.role}, {"content", message.content}};
  if (!message.reasoning_content.empty()) out["reasoning_content"] = message.reasoning_content;
  if (!message.name.empty()) out["name"] = message.name;
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  if (!message.tool_calls_json.empty()) {
    if (auto calls = parse(message.tool_calls_json)) out["tool_calls"] = *std::move(calls);
  }
  return out;
}

std::string token_bytes(const Json& token) {
  const Json* bytes = member(token, "bytes");
  if (bytes == nullptr || !bytes->is_array()) return text_of(token, "token");
  std::string out;
  for (const Json& byte : *bytes) {
    if (!byte.is_number_integer()) return text_of(token, "token");
    out.push_back(static_cast<char>(byte.get<int64_t>() & 0xFF));
  }
  return out;
}

float logprob_of(const Json& token) {
  const Json* value = member(token, "logprob");
  return value != nullptr && value->is_number() ? static_cast<float>(std::min(0.0, value->get<double>())) : 0.0F;
}

void read_tokens(const Json& logprobs, const char* name, bool thinking, std::vector<TokenInfo>* out) {
  const Json* tokens = member(logprobs, name);
  if (tokens == nullptr || !tokens->is_array()) return;
  for (const Json& token : *tokens) {
    const Json* own = member(token, "logprob");
    if (own == nullptr || !own->is_number()) continue;
    TokenInfo info;
    info.bytes = token_bytes(token);
    info.logprob = logprob_of(token);
    info.thinking = thinking;
    if (const Json* top = member(token, "top_logprobs"); top != nullptr && top->is_array()) {
      double best = -1e9;
      double second = -1e9;
      for (const Json& other : *top) {
        const float logprob = logprob_of(other);
        info.top.push_back({token_bytes(other), logprob});
        second = std::max(second, std::min<double>(best, logprob));
        best = std::max<double>(best, logprob);
      }
      if (info.top.size() >= 2) info.margin = static_cast<float>(fixed_exp(best) - fixed_exp(second));
    }
    out->push_back(std::move(info));
  }
}

std::optional<FinishReason> finish_of(const Json& choice) {
  const std::string reason = text_of(choice, "finish_reason");
  if (reason.empty()) return std::nullopt;
  if (reason == "length") return FinishReason::kLength;
  if (reason == "tool_calls" || reason == "function_call") return FinishReason::kToolCalls;
  if (reason == "content_filter") return FinishReason::kContentFilter;
  return FinishReason::kStop;
}

// An error's own words: {"error": {"message"}}, {"error": "..."}, {"message"}, {"detail"}.
std::string error_words(const Json& json) {
  if (const Json* error = member(json, "error")) {
    if (error->is_string()) return error->get<std::string>();
    return text_of(*error, "message");
  }
  std::string out = text_of(json, "message");
  return out.empty() ? text_of(json, "detail") : out;
}

std::string one_line(std::string text) {
  constexpr size_t kMaxBytes = 300;
  text = base::utf8_replace_invalid(text);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  if (text.size() > kMaxBytes) text.resize(base::utf8_valid_prefix(std::string_view(text).substr(0, kMaxBytes)));
  return text;
}

}  // namespace

std::string upstream_body(const ChatRequest& request, std::string_view model, bool logprobs) {
  Json messages = Json::array();
  for (const ChatMessage& message : request.messages) messages.push_back(message_json(message));
  Json out = {{"model", model}, {"messages", std::move(messages)}, {"stream", true}};
  out["stream_options"] = {{"include_usage", true}};
  const auto set = [&](const char* name, const auto& value) {
    if (value) out[name] = *value;
  };
  set("temperature", request.temperature);
  set("top_p", request.top_p);
  set("min_p", request.min_p);
  set("top_k", request.top_k);
  set("repetition_penalty", request.repeat_penalty);
  set("repeat_last_n", request.repeat_last_n);
  set("presence_penalty", request.presence_penalty);
  set("frequency_penalty", request.frequency_penalty);
  set("max_tokens", request.max_tokens);
  // An upstream has no field for the choice; without a seed it draws anew by itself.
  if (request.seed) out["seed"] = *request.seed + request.choice;
  if (!request.stop.empty()) out["stop"] = request.stop;
  if (!request.logit_bias.empty()) {
    Json bias = Json::object();
    for (const auto& [id, amount] : request.logit_bias) bias[std::to_string(id)] = amount;
    out["logit_bias"] = std::move(bias);
  }
  if (logprobs || request.logprobs) {
    out["logprobs"] = true;
    out["top_logprobs"] = std::max(logprobs ? 2 : 0, request.top_logprobs);
  }
  if (!request.tools_json.empty()) {
    if (auto tools = parse(request.tools_json)) out["tools"] = *std::move(tools);
  }
  if (!request.extra_template_json.empty()) {
    if (auto extra = parse(request.extra_template_json)) out["chat_template_kwargs"] = *std::move(extra);
  }
  if (!request.cache_salt.empty()) out["cache_salt"] = request.cache_salt;
  if (!request.user.empty()) out["user"] = request.user;
  return out.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

base::Result<UpstreamChunk> read_upstream_chunk(std::string_view text) {
  const auto json = parse(text);
  if (!json || !json->is_object()) {
    return base::fail(Code::kUpstream,
                      fmt::format("expected a JSON object, found {} bytes of something else", text.size()));
  }
  UpstreamChunk out;
  const Json* choices = member(*json, "choices");
  if (member(*json, "error") != nullptr || (choices == nullptr && !error_words(*json).empty())) {
    out.error = one_line(error_words(*json));
    return out;
  }
  if (const Json* usage = member(*json, "usage"); usage != nullptr && usage->is_object()) {
    Usage counts{count_of(*usage, "prompt_tokens"), count_of(*usage, "completion_tokens"), 0};
    if (const Json* details = member(*usage, "prompt_tokens_details")) {
      counts.cached_tokens = count_of(*details, "cached_tokens");
    }
    out.usage = counts;
  }
  if (choices == nullptr || !choices->is_array()) {
    if (out.usage) return out;
    return base::fail(Code::kUpstream, "expected an object with choices, found none");
  }
  if (choices->empty()) return out;  // the chunk of the usage
  const Json& choice = choices->front();
  const Json* body = member(choice, "delta");
  if (body == nullptr) body = member(choice, "message");
  if (body != nullptr) {
    out.delta.content = text_of(*body, "content");
    out.delta.reasoning = text_of(*body, "reasoning_content");
    if (out.delta.reasoning.empty()) out.delta.reasoning = text_of(*body, "reasoning");
  }
  if (const Json* logprobs = member(choice, "logprobs")) {
    read_tokens(*logprobs, "reasoning_content", true, &out.delta.tokens);
    // A server that does not tell the parts apart puts all tokens under content.
    const bool all_thinking = out.delta.content.empty() && !out.delta.reasoning.empty() && out.delta.tokens.empty();
    read_tokens(*logprobs, "content", all_thinking, &out.delta.tokens);
  }
  out.finish = finish_of(choice);
  return out;
}

std::string upstream_error_text(std::string_view body) {
  const auto json = parse(body);
  return json ? one_line(error_words(*json)) : std::string();
}

}  // namespace concerto::cascade
