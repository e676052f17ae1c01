#include "api/wire/chat_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "api/wire/json.h"
#include "api/wire/messages.h"

namespace concerto::api {
namespace {

using base::Code;
using base::fail;
using cascade::ChatRequest;

constexpr int64_t kMaxTokens = 1 << 20;
constexpr size_t kMaxStop = 16;
constexpr size_t kMaxStopBytes = 1024;
constexpr size_t kMaxBias = 1024;
constexpr size_t kMaxModel = 512;
constexpr int kMaxChoices = 16;  // what an engine runs at once by default

// Fields that are read below.
constexpr std::array<std::string_view, 33> kHonoured = {"model",
                                                        "messages",
                                                        "stream",
                                                        "stream_options",
                                                        "max_tokens",
                                                        "max_completion_tokens",
                                                        "temperature",
                                                        "top_p",
                                                        "top_k",
                                                        "min_p",
                                                        "repeat_penalty",
                                                        "repetition_penalty",
                                                        "repeat_last_n",
                                                        "presence_penalty",
                                                        "frequency_penalty",
                                                        "seed",
                                                        "stop",
                                                        "logit_bias",
                                                        "logprobs",
                                                        "top_logprobs",
                                                        "n",
                                                        "user",
                                                        "response_format",
                                                        "modalities",
                                                        "chat_template_kwargs",
                                                        "tools",
                                                        "tool_choice",
                                                        "functions",
                                                        "function_call",
                                                        "audio",
                                                        "web_search_options",
                                                        "chat_template",
                                                        "cache_salt"};

// Fields of the public API without effect on the text that a small local model gives.
constexpr std::array<std::string_view, 11> kWithoutEffect = {"store",
                                                             "metadata",
                                                             "service_tier",
                                                             "verbosity",
                                                             "prompt_cache_key",
                                                             "prompt_cache_retention",
                                                             "safety_identifier",
                                                             "prediction",
                                                             "parallel_tool_calls",
                                                             "reasoning_effort",
                                                             "moderation"};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Changes of one character (or a swap of neighbours) that lead from a to b; stops counting at 2.
int distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = static_cast<int>(i + j);
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

// A mistyped name of a field that would have had an effect is refused; any other unknown one is listed.
base::Status sort_out_unknown(const Json& object, std::vector<std::string>* ignored) {
  for (const auto& [key, value] : object.items()) {
    if (contains(kHonoured, key)) continue;
    if (value.is_null()) continue;
    if (!contains(kWithoutEffect, key) && key.size() >= 4 && key.size() <= 32) {
      for (const std::string_view known : kHonoured) {
        if (known.size() >= 4 && distance(key, known) == 1) {
          return fail(Code::kInvalidArgument, fmt::format("{}: unknown field; did you mean '{}'?", key, known), key);
        }
      }
    }
    add_ignored(ignored, key);
  }
  return {};
}

base::Status read_sampling(const FieldReader& reader, ChatRequest* out) {
  TRY_STATUS(reader.number("temperature", 0, 2, &out->temperature));
  TRY_STATUS(reader.number("top_p", 0, 1, &out->top_p));
  TRY_STATUS(reader.number("min_p", 0, 1, &out->min_p));
  TRY_STATUS(reader.integer("top_k", -1, 1'000'000, &out->top_k));
  if (out->top_k && *out->top_k < 0) out->top_k = 0;  // both mean "off"
  TRY_STATUS(reader.number("repetition_penalty", 0.01, 10, &out->repeat_penalty));
  TRY_STATUS(reader.number("repeat_penalty", 0.01, 10, &out->repeat_penalty));
  TRY_STATUS(reader.integer("repeat_last_n", -1, kMaxTokens, &out->repeat_last_n));
  TRY_STATUS(reader.number("presence_penalty", -2, 2, &out->presence_penalty));
  TRY_STATUS(reader.number("frequency_penalty", -2, 2, &out->frequency_penalty));
  TRY_STATUS(reader.integer("max_tokens", 1, kMaxTokens, &out->max_tokens));
  TRY_STATUS(reader.integer("max_completion_tokens", 1, kMaxTokens, &out->max_tokens));
  if (const Json* seed = reader.find("seed")) {
    // Any 64-bit integer; a negative one names the draw of its two's complement.
    if (!seed->is_number_integer()) return reader.expected("seed", "an integer of 64 bits", *seed);
    out->seed = seed->is_number_unsigned() ? seed->get<uint64_t>() : static_cast<uint64_t>(seed->get<int64_t>());
  }
  return {};
}

base::Status read_stop(const FieldReader& reader, ChatRequest* out) {
  const Json* stop = reader.find("stop");
  if (stop == nullptr) return {};
  const auto add = [&](const std::string& name, const Json& value) -> base::Status {
    if (!value.is_string() || value.get_ref<const std::string&>().empty() ||
        value.get_ref<const std::string&>().size() > kMaxStopBytes) {
      return reader.expected(name, fmt::format("a string of 1 to {} bytes", kMaxStopBytes), value);
    }
    out->stop.push_back(value.get<std::string>());
    return {};
  };
  if (stop->is_string()) return add("stop", *stop);
  if (!stop->is_array() || stop->size() > kMaxStop) {
    return reader.expected("stop", fmt::format("a string or an array of at most {} strings", kMaxStop), *stop);
  }
  for (size_t i = 0; i < stop->size(); ++i) TRY_STATUS(add(fmt::format("stop[{}]", i), (*stop)[i]));
  return {};
}

base::Status read_logit_bias(const FieldReader& reader, ChatRequest* out) {
  const Json* bias = reader.find("logit_bias");
  if (bias == nullptr) return {};
  if (!bias->is_object() || bias->size() > kMaxBias) {
    return reader.expected("logit_bias", fmt::format("an object of at most {} token ids", kMaxBias), *bias);
  }
  const FieldReader inner(*bias, reader.path_of("logit_bias"));
  for (const auto& [key, value] : bias->items()) {
    int32_t id = -1;
    const auto [end, ec] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (ec != std::errc() || end != key.data() + key.size() || id < 0) {
      return inner.expected(key, "a token id as the key", value);
    }
    if (value.is_null()) return inner.expected(key, "a number from -100 to 100", value);
    std::optional<float> amount;
    TRY_STATUS(inner.number(key.c_str(), -100, 100, &amount));
    out->logit_bias.emplace_back(id, *amount);
  }
  return {};
}

base::Status read_logprobs(const FieldReader& reader, ChatRequest* out) {
  TRY_STATUS(reader.boolean("logprobs", &out->logprobs));
  std::optional<int> top;
  TRY_STATUS(reader.integer("top_logprobs", 0, 20, &top));
  if (top && *top > 0 && !out->logprobs) {
    return fail(Code::kInvalidArgument, "top_logprobs: expected logprobs to be true beside it", "top_logprobs");
  }
  out->top_logprobs = top.value_or(0);
  return {};
}

base::Status read_stream(const FieldReader& reader, ChatCall* call, std::vector<std::string>* ignored) {
  TRY_STATUS(reader.boolean("stream", &call->request.stream));
  const Json* options = reader.find("stream_options");
  if (options == nullptr) return {};
  if (!options->is_object()) return reader.expected("stream_options", "an object", *options);
  if (!call->request.stream) {
    return fail(Code::kInvalidArgument, "stream_options: expected stream to be true beside it", "stream_options");
  }
  TRY_STATUS(FieldReader(*options, "stream_options").boolean("include_usage", &call->include_usage));
  for (const auto& [key, value] : options->items()) {
    if (key != "include_usage") add_ignored(ignored, "stream_options." + key);
  }
  return {};
}

base::Status read_n(const FieldReader& reader, int* out) {
  std::optional<int> n;
  TRY_STATUS(reader.integer("n", 1, 128, &n));
  if (n && *n > kMaxChoices) {
    return reader.unsupported("n", fmt::format("expected at most {} answers to a request, found {}", kMaxChoices, *n));
  }
  *out = n.value_or(1);
  return {};
}

// What would change the answer but can't be done here is refused: an answer that looks as if it had been done is worse.
base::Status refuse_unsupported(const FieldReader& reader, std::vector<std::string>* ignored) {
  for (const char* name : {"tools", "functions"}) {
    const Json* value = reader.find(name);
    if (value == nullptr) continue;
    if (!value->is_array()) return reader.expected(name, "an array", *value);
    if (!value->empty()) return reader.unsupported(name, "calling tools is not supported yet: leave the field out");
  }
  for (const char* name : {"tool_choice", "function_call"}) {
    const Json* value = reader.find(name);
    if (value == nullptr) continue;
    if (!value->is_string() && !value->is_object()) return reader.expected(name, "a string or an object", *value);
    if (*value != "none" && *value != "auto") {
      return reader.unsupported(name, "calling tools is not supported yet: leave the field out");
    }
    add_ignored(ignored, name);
  }
  if (const Json* format = reader.find("response_format")) {
    if (!format->is_object()) return reader.expected("response_format", "an object with a type", *format);
    const FieldReader inner(*format, "response_format");
    std::string type;
    TRY_STATUS(inner.required_string("type", 64, &type));
    if (type == "json_object" || type == "json_schema") {
      return inner.unsupported("type", fmt::format("'{}' is not supported yet: expected 'text'", type));
    }
    if (type != "text") return inner.expected("type", "'text'", *inner.find("type"));
  }
  if (const Json* modalities = reader.find("modalities"); modalities != nullptr) {
    if (!modalities->is_array()) return reader.expected("modalities", "an array", *modalities);
    for (const Json& one : *modalities) {
      if (one != "text") return reader.unsupported("modalities", "expected [\"text\"]: only text is answered");
    }
  }
  for (const char* name : {"audio", "web_search_options"}) {
    if (reader.find(name) != nullptr) return reader.unsupported(name, "not supported: leave the field out");
  }
  if (reader.find("chat_template") != nullptr) {
    return reader.unsupported("chat_template", "templates come from the model's own file only");
  }
  return {};
}

// Switches that templates of known models look at; anything else could reach into a template in ways nobody checked.
base::Status read_template_switches(const FieldReader& reader, ChatRequest* out) {
  const Json* switches = reader.find("chat_template_kwargs");
  if (switches == nullptr) return {};
  if (!switches->is_object()) return reader.expected("chat_template_kwargs", "an object", *switches);
  const FieldReader inner(*switches, "chat_template_kwargs");
  for (const auto& [key, value] : switches->items()) {
    if (key != "enable_thinking" && key != "thinking") {
      return inner.unsupported(key, "expected enable_thinking or thinking");
    }
    if (!value.is_boolean()) return inner.expected(key, "true or false", value);
  }
  if (!switches->empty()) out->extra_template_json = dump(*switches);
  return {};
}

}  // namespace

base::Result<ChatCall> parse_chat_request(std::string_view body) {
  TRY(const Json object, parse_object(body));
  const FieldReader reader(object, "");
  ChatCall call;
  TRY_STATUS(sort_out_unknown(object, &call.ignored));
  TRY_STATUS(reader.required_string("model", kMaxModel, &call.model));
  TRY_STATUS(refuse_unsupported(reader, &call.ignored));
  TRY_STATUS(read_n(reader, &call.n));
  TRY(call.request.messages, read_messages(object, &call.ignored));
  TRY_STATUS(read_sampling(reader, &call.request));
  TRY_STATUS(read_stop(reader, &call.request));
  TRY_STATUS(read_logit_bias(reader, &call.request));
  TRY_STATUS(read_logprobs(reader, &call.request));
  TRY_STATUS(read_stream(reader, &call, &call.ignored));
  TRY_STATUS(read_template_switches(reader, &call.request));
  TRY_STATUS(reader.string("user", 512, &call.request.user));
  TRY_STATUS(reader.string("cache_salt", 512, &call.request.cache_salt));
  return call;
}

}  // namespace concerto::api
