// The body of a chat request: what is read, and that everything else is refused by name.
#include "api/wire/chat_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace concerto::api {
namespace {

using base::Code;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json minimal() { return json::parse(R"({"model":"m","messages":[{"role":"user","content":"hi"}]})"); }

base::Result<ChatCall> with(const std::string& field, const json& value) {
  json body = minimal();
  body[field] = value;
  return parse_chat_request(body.dump());
}

TEST(ChatRequest, ReadsEveryField) {
  const auto call = parse_chat_request(R"({
    "model": "concerto", "stream": true, "stream_options": {"include_usage": true},
    "messages": [
      {"role": "developer", "content": "be brief"},
      {"role": "user", "name": "li", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "合同"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,xx", "detail": "low"}}]},
      {"role": "assistant", "content": null, "reasoning_content": "hm",
       "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "42"}
    ],
    "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "repeat_penalty": 1.1, "repeat_last_n": -1,
    "presence_penalty": -2, "frequency_penalty": 2, "seed": 18446744073709551615, "stop": ["\n", "。"],
    "max_tokens": 5, "max_completion_tokens": 7, "logit_bias": {"0": -100, "151643": 3.5}, "logprobs": true,
    "top_logprobs": 20, "user": "u1", "chat_template_kwargs": {"enable_thinking": false}, "n": 1,
    "response_format": {"type": "text"}, "modalities": ["text"], "tools": [], "tool_choice": "none"})");
  ASSERT_TRUE(call) << call.error().message;
  const auto& r = call->request;
  EXPECT_EQ(call->model, "concerto");
  EXPECT_TRUE(call->include_usage);
  EXPECT_TRUE(r.stream);
  ASSERT_EQ(r.messages.size(), 4U);
  EXPECT_EQ(r.messages[0].role, "system");
  EXPECT_EQ(r.messages[1].content, "a\n合同");
  EXPECT_EQ(r.messages[1].images, 1);
  EXPECT_EQ(r.messages[1].name, "li");
  EXPECT_EQ(r.messages[2].reasoning_content, "hm");
  EXPECT_THAT(r.messages[2].tool_calls_json, HasSubstr(R"("name":"f")"));
  EXPECT_EQ(r.messages[3].tool_call_id, "c1");
  EXPECT_EQ(r.temperature, 0.5F);
  EXPECT_EQ(r.top_p, 0.9F);
  EXPECT_EQ(r.top_k, 40);
  EXPECT_EQ(r.min_p, 0.05F);
  EXPECT_EQ(r.repeat_penalty, 1.1F);
  EXPECT_EQ(r.repeat_last_n, -1);
  EXPECT_EQ(r.presence_penalty, -2.0F);
  EXPECT_EQ(r.frequency_penalty, 2.0F);
  EXPECT_EQ(r.seed, UINT64_MAX);
  EXPECT_THAT(r.stop, ElementsAre("\n", "。"));
  EXPECT_EQ(r.max_tokens, 7);
  EXPECT_THAT(r.logit_bias,
              ElementsAre(std::pair<int32_t, float>(0, -100.0F), std::pair<int32_t, float>(151643, 3.5F)));
  EXPECT_TRUE(r.logprobs);
  EXPECT_EQ(r.top_logprobs, 20);
  EXPECT_EQ(r.user, "u1");
  EXPECT_EQ(r.extra_template_json, R"({"enable_thinking":false})");
  EXPECT_THAT(call->ignored, ElementsAre("tool_choice"));
}

TEST(ChatRequest, TakesNullForAbsent) {
  for (const char* field : {"temperature", "top_p", "max_tokens", "stop", "seed", "stream", "stream_options", "tools",
                            "logit_bias", "logprobs", "top_logprobs", "response_format", "n", "user", "anything"}) {
    const auto call = with(field, nullptr);
    ASSERT_TRUE(call) << field << ": " << call.error().message;
    EXPECT_TRUE(call->ignored.empty()) << field;
  }
}

// Each field with a value of every type; what it does not take must be refused, naming it.
TEST(ChatRequest, RefusesWrongTypes) {
  const std::vector<std::pair<std::string, json>> values = {
      {"boolean", true},           {"integer", 1},        {"number", 0.5}, {"string", "text"},
      {"array", json::array({1})}, {"object", {{"a", 1}}}};
  const std::vector<std::pair<std::string, std::vector<std::string>>> takes = {
      {"model", {"string"}},
      {"messages", {}},
      {"stream", {"boolean"}},
      {"stream_options", {}},
      {"max_tokens", {"integer"}},
      {"max_completion_tokens", {"integer"}},
      {"temperature", {"integer", "number"}},
      {"top_p", {"integer", "number"}},
      {"top_k", {"integer"}},
      {"min_p", {"integer", "number"}},
      {"repeat_penalty", {"integer", "number"}},
      {"repetition_penalty", {"integer", "number"}},
      {"repeat_last_n", {"integer"}},
      {"presence_penalty", {"integer", "number"}},
      {"frequency_penalty", {"integer", "number"}},
      {"seed", {"integer"}},
      {"stop", {"string"}},
      {"logit_bias", {}},
      {"logprobs", {"boolean"}},
      {"top_logprobs", {}},
      {"n", {"integer"}},
      {"user", {"string"}},
      {"cache_salt", {"string"}},
      {"response_format", {}},
      {"modalities", {}},
      {"chat_template_kwargs", {}},
      {"chat_template", {}},
      {"tools", {}},
      {"tool_choice", {}},
      {"functions", {}},
      {"function_call", {}},
      {"audio", {}},
      {"web_search_options", {}},
  };
  for (const auto& [field, good] : takes) {
    for (const auto& [type, value] : values) {
      const auto call = with(field, value);
      const bool want = std::find(good.begin(), good.end(), type) != good.end();
      EXPECT_EQ(call.has_value(), want) << field << " as " << type << (call ? "" : ": " + call.error().message);
      if (call) continue;
      EXPECT_THAT(call.error().param, HasSubstr(field)) << call.error().message;
      EXPECT_THAT(call.error().message, HasSubstr(field));
      EXPECT_TRUE(call.error().code == Code::kInvalidArgument || call.error().code == Code::kUnsupported);
    }
  }
}

TEST(ChatRequest, KeepsNumbersWithinTheirLimits) {
  struct Range {
    const char* field;
    double low, high;
    bool whole;
  };
  const Range ranges[] = {{"temperature", 0, 2, false},
                          {"top_p", 0, 1, false},
                          {"min_p", 0, 1, false},
                          {"top_k", -1, 1000000, true},
                          {"repeat_penalty", 0.01, 10, false},
                          {"repetition_penalty", 0.01, 10, false},
                          {"repeat_last_n", -1, 1048576, true},
                          {"presence_penalty", -2, 2, false},
                          {"frequency_penalty", -2, 2, false},
                          {"max_tokens", 1, 1048576, true},
                          {"max_completion_tokens", 1, 1048576, true}};
  for (const Range& range : ranges) {
    const auto number = [&](double v) { return range.whole ? json(static_cast<int64_t>(v)) : json(v); };
    const double step = range.whole ? 1 : 0.001;
    EXPECT_TRUE(with(range.field, number(range.low))) << range.field;
    EXPECT_TRUE(with(range.field, number(range.high))) << range.field;
    for (const json& bad : {number(range.low - step), number(range.high + step), json(1e308), json(-1e308),
                            json(INT64_MAX), json(INT64_MIN), json(UINT64_MAX)}) {
      const auto call = with(range.field, bad);
      ASSERT_FALSE(call) << range.field << " " << bad;
      EXPECT_EQ(call.error().param, range.field);
    }
  }
  for (const char* text : {"NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x10", "01", "1.", ".5", "+1"}) {
    const auto call = parse_chat_request(R"({"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":)" +
                                         std::string(text) + "}");
    ASSERT_FALSE(call) << text;
    EXPECT_EQ(call.error().code, Code::kInvalidArgument);
  }
  EXPECT_TRUE(with("seed", -5));
  EXPECT_FALSE(with("seed", 1.5));
  ASSERT_TRUE(with("n", 16));
  EXPECT_EQ(with("n", 16)->n, 16);
  EXPECT_EQ(with("n", 17).error().code, Code::kUnsupported);
}

TEST(ChatRequest, RefusesMalformedMessages) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {R"([])", "messages"},
      {R"(["hi"])", "messages[0]"},
      {R"([{}])", "messages[0].role"},
      {R"([{"role":"user"}])", "messages[0].content"},
      {R"([{"role":"user","content":5}])", "messages[0].content"},
      {R"([{"role":"user","content":[]}])", "messages[0].content"},
      {R"([{"role":"robot","content":"a"}])", "messages[0].role"},
      {R"([{"role":7,"content":"a"}])", "messages[0].role"},
      {R"([{"role":"user","content":["a"]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
      {R"([{"role":"user","content":[{"type":"text","text":1}]}])", "messages[0].content[0].text"},
      {R"([{"role":"user","content":[{"type":"image_url","image_url":"x"}]}])", "messages[0].content[0].image_url"},
      {R"([{"role":"user","content":[{"type":"input_audio"}]}])", "messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"hologram"}]}])", "messages[0].content[0].type"},
      {R"([{"role":"tool","content":"a"}])", "messages[0].tool_call_id"},
      {R"([{"role":"assistant","tool_calls":{}}])", "messages[0].tool_calls"},
      {R"([{"role":"assistant","tool_calls":[{}]}])", "messages[0].tool_calls[0].function"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]}])",
       "messages[0].tool_calls[0].function.arguments"},
      {R"([{"role":"user","content":"a"},{"role":"user","content":"a","name":[]}])", "messages[1].name"},
  };
  for (const auto& [messages, param] : bad) {
    const auto call = parse_chat_request(R"({"model":"m","messages":)" + messages + "}");
    ASSERT_FALSE(call) << messages;
    EXPECT_EQ(call.error().param, param) << call.error().message;
    EXPECT_THAT(call.error().message, HasSubstr(param));
  }
}

TEST(ChatRequest, RefusesBytesThatAreNoJson) {
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  const std::string deep_objects = [] {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += "{\"a\":";
    return text;
  }();
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("{} {}"), deep,
        deep_objects, std::string("{\"a\":\"\xFF\"}"), std::string("{\"a\":\"\xED\xA0\x80\"}"),
        std::string("{\"a\":\"\\ud800\"}"), std::string("{\"a\":\"\x01\"}"), std::string("{\"a\":1,}"),
        std::string("{'a':1}"), std::string("\xEF\xBB\xBF{"), std::string("{\"a\":1}\0", 8)}) {
    const auto call = parse_chat_request(body);
    ASSERT_FALSE(call) << body.substr(0, 50);
    EXPECT_EQ(call.error().code, Code::kInvalidArgument);
    EXPECT_THAT(call.error().message, HasSubstr("expected"));
  }
  EXPECT_THAT(parse_chat_request("{\"a\":\"\xFF\"}").error().message, HasSubstr("byte 6"));
  EXPECT_THAT(parse_chat_request(R"({"model":"m",})").error().message, HasSubstr("byte 13"));
  const auto twice = parse_chat_request(R"({"model":"a","model":"b","messages":[]})");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().param, "model");
}

TEST(ChatRequest, ListsOrRefusesUnknownFields) {
  const auto listed = parse_chat_request(
      R"({"model":"m","messages":[{"role":"user","content":"hi","cache_control":{}}],"store":true,"metadata":{},
          "service_tier":"auto","verbosity":"low","reasoning_effort":"low","keep_alive":5,"parallel_tool_calls":true})");
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_THAT(listed->ignored, ElementsAre("store", "metadata", "service_tier", "verbosity", "reasoning_effort",
                                           "keep_alive", "parallel_tool_calls", "messages[].cache_control"));
  const auto typo = with("temprature", 0.5);
  ASSERT_FALSE(typo);
  EXPECT_THAT(typo.error().message, HasSubstr("did you mean 'temperature'"));
  EXPECT_FALSE(with("max_token", 5));
  EXPECT_FALSE(with("top_logprobs", 5));                 // without logprobs
  EXPECT_FALSE(with("stream_options", json::object()));  // without stream
}

TEST(ChatRequest, LimitsListsAndStrings) {
  EXPECT_TRUE(with("stop", json(std::vector<std::string>(16, "x"))));
  EXPECT_FALSE(with("stop", json(std::vector<std::string>(17, "x"))));
  EXPECT_FALSE(with("stop", ""));
  EXPECT_FALSE(with("stop", json::array({""})));
  EXPECT_FALSE(with("stop", std::string(1025, 'x')));
  EXPECT_TRUE(with("stop", std::string(1024, 'x')));
  json bias;
  for (int i = 0; i < 1025; ++i) bias[std::to_string(i)] = 1;
  EXPECT_FALSE(with("logit_bias", bias));
  for (const char* key : {"-1", "a", "", "1.5", "2147483648", " 1"})
    EXPECT_FALSE(with("logit_bias", {{key, 1}})) << key;
  for (const json& value : {json(101), json(-100.5), json("1"), json(nullptr)}) {
    EXPECT_FALSE(with("logit_bias", {{"1", value}})) << value;
  }
  EXPECT_FALSE(with("chat_template_kwargs", {{"loop", true}}));
  EXPECT_FALSE(with("chat_template_kwargs", {{"enable_thinking", "yes"}}));
  EXPECT_FALSE(with("response_format", {{"type", "json_object"}}));
  EXPECT_FALSE(with("model", ""));
}

}  // namespace
}  // namespace concerto::api
