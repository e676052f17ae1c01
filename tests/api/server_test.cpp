#include "api/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/scripted_service.h"
#include "net/http_client.h"
#include "net/raw_client.h"
#include "net/sse_parser.h"

namespace concerto::api {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kHello = R"({"model":"concerto","messages":[{"role":"user","content":"hi"}]})";

class ApiServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = net::HttpClient::open();
    ASSERT_TRUE(opened);
    client = std::move(*opened);
  }
  void start() {
    options.port = 0;
    auto started = ApiServer::start(options, &service);
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }
  void TearDown() override {
    client.reset();
    if (server) server->stop(0);
  }
  net::ClientResponse call(const std::string& method, const std::string& path, const std::string& body = {},
                           net::HttpHeaders headers = {{"Content-Type", "application/json"}}) {
    net::ClientRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(server->port()) + path;
    request.body = body;
    request.headers = std::move(headers);
    auto response = client->fetch(std::move(request));
    EXPECT_TRUE(response) << response.error().message;
    return response ? *response : net::ClientResponse{};
  }
  static std::string header(const net::ClientResponse& response, const char* name) {
    const std::string* value = response.headers.find(name);
    return value == nullptr ? "(none)" : *value;
  }
  static std::vector<std::string> events(const std::string& body) {
    net::SseParser parser;
    std::vector<net::SseEvent> all;
    EXPECT_TRUE(parser.feed(body, &all));
    std::vector<std::string> out;
    for (auto& event : all) out.push_back(event.event.empty() ? event.data : event.event + " " + event.data);
    return out;
  }
  void expect_error(const net::ClientResponse& response, int status, const char* type, const char* code) {
    EXPECT_EQ(response.status, status) << response.body;
    const json body = json::parse(response.body, nullptr, false);
    ASSERT_TRUE(body.contains("error")) << response.body;
    EXPECT_EQ(body["error"]["type"], type);
    EXPECT_EQ(body["error"]["code"], code);
    EXPECT_TRUE(body["error"]["message"].is_string());
    EXPECT_TRUE(body["error"].contains("param"));
  }

  ScriptedService service;
  ApiOptions options;
  std::unique_ptr<net::HttpClient> client;
  std::unique_ptr<ApiServer> server;
};

TEST_F(ApiServerTest, AnswersAChatAtOnce) {
  service.on_chat = [](const ScriptedService::Call& call) { answer(call.sink); };
  start();
  const auto response = call("POST", "/v1/chat/completions",
                             R"({"model":"concerto","messages":[{"role":"user","content":"hi"}],"logprobs":true,
                                 "top_logprobs":1,"store":true,"metadata":{"a":"b"}})",
                             {{"Content-Type", "application/json; charset=utf-8"}, {"X-Request-Id", "my-id.1"}});
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(header(response, "x-request-id"), "my-id.1");
  EXPECT_EQ(header(response, "x-concerto-tier"), "fast");
  EXPECT_EQ(header(response, "x-concerto-reason"), "keyword:%E5%90%88%E5%90%8C");
  EXPECT_EQ(header(response, "x-concerto-confidence"), "0.9123");
  EXPECT_EQ(header(response, "x-concerto-case"), "(none)");
  EXPECT_EQ(header(response, "x-ignored-params"), "store, metadata");
  const json body = json::parse(response.body);
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_THAT(body["id"].get<std::string>(), StartsWith("chatcmpl-"));
  EXPECT_EQ(body["model"], "concerto");
  const json& choice = body["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "你好，世界");
  EXPECT_EQ(choice["message"]["reasoning_content"], "hm");
  EXPECT_EQ(choice["finish_reason"], "stop");
  ASSERT_EQ(choice["logprobs"]["content"].size(), 3U);
  const json& part = choice["logprobs"]["content"][0];
  EXPECT_EQ(part["token"], "bytes:\\xe4\\xbd");
  EXPECT_EQ(part["bytes"], json::array({0xE4, 0xBD}));
  EXPECT_EQ(part["logprob"].dump(), "-0.1");
  EXPECT_EQ(part["top_logprobs"].size(), 1U);
  EXPECT_EQ(choice["logprobs"]["content"][2]["token"], "，世界");
  EXPECT_EQ(choice["logprobs"]["reasoning_content"].size(), 1U);
  EXPECT_EQ(body["usage"]["total_tokens"], 11);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
  EXPECT_EQ(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 1);
  EXPECT_EQ(body["timings"]["predicted_per_second"], 200.0);
  EXPECT_EQ(body["concerto"]["tier"], "fast");
  EXPECT_EQ(body["concerto"]["reason"], "keyword:合同");
  EXPECT_EQ(body["concerto"]["case"], nullptr);
  EXPECT_EQ(body["concerto"]["attempts"][0]["outcome"], "answered");
  EXPECT_THAT(response.body, ::testing::Not(HasSubstr("\xEF\xBF\xBD")));
}

// Answers with a text that names the choice; the other choices are asked for within the first one's Decision.
void answer_choice(const ScriptedService::Call& call) {
  const std::string text = "answer " + std::to_string(call.request.choice) + " of " + call.model;
  cascade::Decision decision;
  decision.tier = "fast";
  decision.reason = "confident";
  decision.confidence = 0.5 + call.request.choice * 0.1;
  call.sink(cascade::Decision(decision));
  call.sink(cascade::Delta{text, "", {token(text, -0.5F)}});
  cascade::CascadeEnd end;
  end.end.usage = {7, 4, call.request.choice == 0 ? 0 : 6};
  end.decision = decision;
  call.sink(std::move(end));
}

TEST_F(ApiServerTest, GivesAsManyChoicesAsAskedFor) {
  service.on_chat = answer_choice;
  start();
  const auto response =
      call("POST", "/v1/chat/completions", R"({"model":"concerto","messages":[{"role":"user","content":"hi"}],"n":3})");
  ASSERT_EQ(response.status, 200) << response.body;
  const json body = json::parse(response.body);
  ASSERT_EQ(body["choices"].size(), 3U);
  // The first takes the route; the others are asked of the tier that it led to.
  const std::vector<std::string> expected = {"answer 0 of concerto", "answer 1 of fast", "answer 2 of fast"};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(body["choices"][i]["index"], i);
    EXPECT_EQ(body["choices"][i]["message"]["content"], expected[i]);
    EXPECT_DOUBLE_EQ(body["choices"][i]["concerto"]["confidence"].get<double>(), 0.5 + static_cast<double>(i) * 0.1);
  }
  EXPECT_EQ(body["usage"]["prompt_tokens"], 7);  // once
  EXPECT_EQ(body["usage"]["completion_tokens"], 12);
  EXPECT_EQ(body["concerto"]["reason"], "confident");
}

TEST_F(ApiServerTest, StreamsSeveralChoices) {
  service.on_chat = answer_choice;
  start();
  const auto response = call("POST", "/v1/chat/completions",
                             R"({"model":"fast","messages":[{"role":"user","content":"hi"}],"n":3,"stream":true,
                                 "stream_options":{"include_usage":true}})");
  ASSERT_EQ(response.status, 200) << response.body;
  const auto all = events(response.body);
  EXPECT_EQ(all.back(), "[DONE]");
  std::map<int, std::string> content;
  std::map<int, std::string> order;  // of each choice: role, text, finish
  for (size_t i = 0; i + 2 < all.size(); ++i) {
    const json chunk = json::parse(all[i]);
    ASSERT_EQ(chunk["choices"].size(), 1U);
    const json& one = chunk["choices"][0];
    const int index = one["index"];
    if (one["delta"].contains("role")) {
      order[index] += "r";
    } else if (!one["finish_reason"].is_null()) {
      order[index] += "f";
    } else {
      order[index] += "t";
      content[index] += one["delta"]["content"];
    }
  }
  EXPECT_EQ(order, (std::map<int, std::string>{{0, "rtf"}, {1, "rtf"}, {2, "rtf"}}));
  EXPECT_EQ(content[2], "answer 2 of fast");
  EXPECT_EQ(json::parse(all[all.size() - 2])["usage"]["completion_tokens"], 12);
}

TEST_F(ApiServerTest, AChoiceThatFailsFailsTheRequest) {
  service.on_chat = [](const ScriptedService::Call& call) {
    if (call.request.choice == 2) {
      call.sink(base::Error{base::Code::kBusy, "engine: 512 requests are waiting already", {}});
    } else {
      answer_choice(call);
    }
  };
  start();
  const auto response =
      call("POST", "/v1/chat/completions", R"({"model":"concerto","messages":[{"role":"user","content":"hi"}],"n":3})");
  expect_error(response, 429, "rate_limit_error", "rate_limit_exceeded");
  EXPECT_EQ(header(response, "retry-after"), "1");
}

TEST_F(ApiServerTest, ACaseHasOneAnswer) {
  int asked = 0;
  service.on_chat = [&](const ScriptedService::Call& call) {
    ++asked;
    cascade::Decision decision;
    decision.tier = "people";
    decision.case_id = "case-1";
    call.sink(cascade::Decision(decision));
    call.sink(cascade::Delta{"a person will answer", "", {}});
    call.sink(cascade::CascadeEnd{{}, decision, {}});
  };
  start();
  const auto response =
      call("POST", "/v1/chat/completions", R"({"model":"concerto","messages":[{"role":"user","content":"hi"}],"n":3})");
  EXPECT_EQ(json::parse(response.body)["choices"].size(), 1U);
  EXPECT_EQ(asked, 1);
}

TEST_F(ApiServerTest, TenantsAreToldApartByTheirKeys) {
  std::mutex mutex;
  std::vector<std::string> tenants;
  service.on_chat = [&](const ScriptedService::Call& call) {
    const std::lock_guard lock(mutex);
    tenants.push_back(call.request.tenant);
    answer(call.sink);
  };
  options.api_keys = {"first-key-0", "second-key"};
  start();
  for (const char* key : {"first-key-0", "second-key", "first-key-0"}) {
    const auto response = call("POST", "/v1/chat/completions", kHello,
                               {{"Content-Type", "application/json"}, {"Authorization", std::string("Bearer ") + key}});
    EXPECT_EQ(response.status, 200) << response.body;
  }
  ASSERT_EQ(tenants.size(), 3U);
  EXPECT_EQ(tenants[0], tenants[2]);
  EXPECT_NE(tenants[0], tenants[1]);
  EXPECT_EQ(tenants[0].find("first"), std::string::npos);
}

TEST_F(ApiServerTest, StreamsTheSameAnswer) {
  service.on_chat = [](const ScriptedService::Call& call) { answer(call.sink); };
  start();
  const auto response =
      call("POST", "/chat/completions",
           R"({"model":"fast","messages":[{"role":"user","content":"hi"}],"logprobs":true,"stream":true,
                                 "stream_options":{"include_usage":true}})");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_THAT(header(response, "content-type"), StartsWith("text/event-stream"));
  EXPECT_EQ(header(response, "x-concerto-tier"), "fast");
  EXPECT_THAT(header(response, "cache-control"), HasSubstr("no-transform"));
  const auto all = events(response.body);
  ASSERT_EQ(all.size(), 7U) << response.body;
  EXPECT_EQ(all.back(), "[DONE]");
  std::string content;
  std::string reasoning;
  size_t tokens = 0;
  for (size_t i = 0; i + 2 < all.size(); ++i) {
    const json chunk = json::parse(all[i]);
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    EXPECT_EQ(chunk["usage"], nullptr);
    const json& choice = chunk["choices"][0];
    content += choice["delta"].value("content", "");
    reasoning += choice["delta"].value("reasoning_content", "");
    if (choice["logprobs"].is_object()) tokens += choice["logprobs"]["content"].size();
  }
  EXPECT_EQ(content, "你好，世界");
  EXPECT_EQ(reasoning, "hm");
  EXPECT_EQ(tokens, 3U);
  EXPECT_EQ(json::parse(all[0])["choices"][0]["delta"]["role"], "assistant");
  const json finish = json::parse(all[4]);
  EXPECT_EQ(finish["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(finish["concerto"]["tier"], "fast");
  const json usage = json::parse(all[5]);
  EXPECT_EQ(usage["choices"], json::array());
  EXPECT_EQ(usage["usage"]["prompt_tokens"], 7);
}

TEST_F(ApiServerTest, TellsErrorsBeforeAndAfterTheFirstText) {
  start();
  expect_error(call("POST", "/v1/chat/completions", R"({"model":"x","messages":[{"role":"user","content":"a"}]})"), 404,
               "invalid_request_error", "model_not_found");
  service.on_chat = [](const ScriptedService::Call& call) {
    call.sink(
        base::Error{base::Code::kContextLength, "messages: expected at most 4096 tokens, found 5000", "messages"});
  };
  for (const char* stream : {"true", "false"}) {
    const std::string body =
        R"({"model":"fast","messages":[{"role":"user","content":"a"}],"stream":)" + std::string(stream) + "}";
    expect_error(call("POST", "/v1/chat/completions", body), 400, "invalid_request_error", "context_length_exceeded");
  }
  service.on_chat = [](const ScriptedService::Call& call) {
    call.sink(base::Error{base::Code::kBusy, "queue: expected a free place, found none", {}});
  };
  const auto busy = call("POST", "/v1/chat/completions", kHello);
  expect_error(busy, 429, "rate_limit_error", "rate_limit_exceeded");
  EXPECT_EQ(header(busy, "retry-after"), "1");
  service.on_chat = [](const ScriptedService::Call& call) {
    call.sink(cascade::Decision{});
    call.sink(cascade::Delta{"half", "", {}});
    call.sink(base::Error{base::Code::kUpstream, "big: the connection broke", {}});
    call.sink(cascade::Delta{"late", "", {}});
  };
  const auto broken = call("POST", "/v1/chat/completions",
                           R"({"model":"fast","messages":[{"role":"user","content":"a"}],"stream":true})");
  EXPECT_EQ(broken.status, 200);
  const auto all = events(broken.body);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_THAT(all[2], StartsWith("error {\"error\""));
  EXPECT_THAT(all[2], HasSubstr("upstream_error"));
  // A sink that is dropped without an end is a bug of ours, and the client hears of it.
  service.on_chat = [](const ScriptedService::Call&) {};
  expect_error(call("POST", "/v1/chat/completions", kHello), 500, "server_error", "internal_error");
}

TEST_F(ApiServerTest, RefusesBodiesItCannotTrust) {
  start();
  expect_error(call("POST", "/v1/chat/completions", kHello, {{"Content-Type", "text/plain"}}), 415,
               "invalid_request_error", "unsupported_media_type");
  expect_error(call("POST", "/v1/chat/completions", kHello,
                    {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}),
               415, "invalid_request_error", "unsupported_media_type");
  expect_error(call("POST", "/v1/chat/completions", kHello,
                    {{"Content-Type", "application/json"}, {"Origin", "http://evil.example"}}),
               403, "permission_error", "origin_not_allowed");
  expect_error(
      call("POST", "/v1/chat/completions", kHello, {{"Content-Type", "application/json"}, {"Host", "evil.example"}}),
      403, "permission_error", "host_not_allowed");
  expect_error(call("POST", "/v1/chat/completions", "{"), 400, "invalid_request_error", "invalid_value");
  expect_error(call("GET", "/v1/nothing"), 404, "invalid_request_error", "not_found");
  expect_error(call("GET", "/v1/chat/completions"), 405, "invalid_request_error", "method_not_allowed");
  options.limits.body_bytes = 100;
  server->stop(0);
  start();
  expect_error(call("POST", "/v1/chat/completions", std::string(200, ' ')), 413, "invalid_request_error",
               "body_too_large");
}

TEST_F(ApiServerTest, AllowsItsOwnPageToPost) {
  service.on_chat = [](const ScriptedService::Call& call) { answer(call.sink); };
  start();
  const std::string own = "http://127.0.0.1:" + std::to_string(server->port());
  EXPECT_EQ(
      call("POST", "/v1/chat/completions", kHello, {{"Content-Type", "application/json"}, {"Origin", own}}).status,
      200);
}

TEST_F(ApiServerTest, ListsModels) {
  start();
  const json all = json::parse(call("GET", "/v1/models").body);
  EXPECT_EQ(all["object"], "list");
  ASSERT_EQ(all["data"].size(), 2U);
  EXPECT_EQ(all["data"][1]["id"], "fast");
  EXPECT_EQ(all["data"][1]["concerto"]["context"], 4096);
  EXPECT_EQ(json::parse(call("GET", "/v1/models/fast").body)["id"], "fast");
  const auto missing = call("GET", "/v1/models/slow");
  expect_error(missing, 404, "invalid_request_error", "model_not_found");
  EXPECT_THAT(missing.body, HasSubstr("concerto, fast"));
}

TEST_F(ApiServerTest, TellsLifeFromReadiness) {
  service.ready = false;
  start();
  EXPECT_EQ(call("GET", "/livez").status, 200);
  const auto loading = call("GET", "/readyz");
  EXPECT_EQ(loading.status, 503);
  EXPECT_THAT(loading.body, HasSubstr("43%"));
  service.ready = true;
  EXPECT_EQ(call("GET", "/readyz").status, 200);
  EXPECT_EQ(call("GET", "/health").status, 200);
}

TEST_F(ApiServerTest, AnswersACaseWithTheAdminKeyOnly) {
  options.api_keys = {"user-key-1"};
  options.admin_keys = {"admin-key-1"};
  start();
  const std::string path = "/v1/cases/case-1";
  const std::string body = R"({"answer":"请联系法务","answered_by":"li"})";
  const auto with = [](const char* key) {
    return net::HttpHeaders{{"Content-Type", "application/json"}, {"Authorization", std::string("Bearer ") + key}};
  };
  expect_error(call("GET", path), 401, "authentication_error", "invalid_api_key");
  expect_error(call("GET", path, {}, with("wrong-key-1")), 401, "authentication_error", "invalid_api_key");
  EXPECT_EQ(call("GET", path, {}, with("user-key-1")).status, 200);
  EXPECT_EQ(call("GET", path, {}, with("admin-key-1")).status, 200);
  expect_error(call("POST", path + "/answer", body), 401, "authentication_error", "invalid_api_key");
  expect_error(call("POST", path + "/answer", body, with("user-key-1")), 403, "permission_error", "forbidden");
  expect_error(call("POST", "/v1/cases/none/answer", body, with("admin-key-1")), 404, "invalid_request_error",
               "not_found");
  expect_error(call("POST", path + "/answer", R"({"answer":5})", with("admin-key-1")), 400, "invalid_request_error",
               "invalid_value");
  const json answered = json::parse(call("POST", path + "/answer", body, with("admin-key-1")).body);
  EXPECT_EQ(answered["state"], "answered");
  EXPECT_EQ(answered["answer"], "请联系法务");
  EXPECT_EQ(answered["label"], "蒸馏版未覆盖case");
  expect_error(call("POST", path + "/answer", body, with("admin-key-1")), 409, "invalid_request_error", "conflict");
}

// Every route with every key: public ones answer anybody, the others nobody without a key.
TEST_F(ApiServerTest, GuardsEveryRoute) {
  options.api_keys = {"user-key-1"};
  service.on_chat = [](const ScriptedService::Call& call) { answer(call.sink); };
  start();
  const std::vector<std::pair<std::string, std::string>> guarded = {
      {"POST", "/v1/chat/completions"}, {"POST", "/chat/completions"}, {"GET", "/v1/models"},      {"GET", "/models"},
      {"GET", "/v1/models/fast"},       {"GET", "/metrics"},           {"GET", "/v1/cases/case-1"}};
  for (const auto& [method, path] : guarded) {
    expect_error(call(method, path, kHello), 401, "authentication_error", "invalid_api_key");
    const auto good =
        call(method, path, kHello, {{"Content-Type", "application/json"}, {"Authorization", "bearer user-key-1"}});
    EXPECT_EQ(good.status, 200) << path;
  }
  for (const char* path : {"/livez", "/readyz", "/health"}) EXPECT_EQ(call("GET", path).status, 200) << path;
  // Without an admin key nobody may answer, whatever key comes.
  expect_error(call("POST", "/v1/cases/case-1/answer", R"({"answer":"a"})",
                    {{"Content-Type", "application/json"}, {"Authorization", "Bearer user-key-1"}}),
               403, "permission_error", "forbidden");
}

TEST(ApiOptions, RefusesAnOpenServer) {
  ApiOptions options;
  EXPECT_TRUE(validate(options));
  options.bind = "0.0.0.0";
  const auto open = validate(options);
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().param, "bind");
  options.api_keys = {"long-enough"};
  EXPECT_TRUE(validate(options));
  options.api_keys = {"has space in"};
  EXPECT_FALSE(validate(options));
  options.api_keys = {"short"};
  EXPECT_FALSE(validate(options));
  options.api_keys = {""};
  EXPECT_FALSE(validate(options));
}

TEST_F(ApiServerTest, CancelsWithin200MsWhenTheClientLeaves) {
  start();
  for (const bool stream : {false, true}) {
    for (const bool mid_answer : {false, true}) {
      net::RawClient raw(server->port());
      const std::string body = std::string(R"({"model":"fast","messages":[{"role":"user","content":"a"}],"stream":)") +
                               (stream ? "true}" : "false}");
      raw.send(
          "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
          "Content-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body);
      const ScriptedService::Call chat = service.next();
      ASSERT_TRUE(chat.sink);
      if (mid_answer) {
        chat.sink(cascade::Decision{});
        chat.sink(cascade::Delta{"text", "", {}});
        if (stream) {
          ASSERT_TRUE(raw.read_until("text"));
        }
      }
      EXPECT_FALSE(chat.cancel.cancelled());
      const auto before = steady_clock::now();
      raw.close();
      while (!chat.cancel.cancelled() && steady_clock::now() - before < milliseconds(3000)) {
        std::this_thread::sleep_for(milliseconds(1));
      }
      EXPECT_LT(steady_clock::now() - before, milliseconds(200));
      chat.sink(base::Error{base::Code::kCancelled, "cancelled", {}});
    }
  }
  const auto metrics = call("GET", "/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("concerto_requests_running 0"));
  EXPECT_THAT(metrics, HasSubstr("status=\"499\""));
}

TEST_F(ApiServerTest, CountsWhatItDid) {
  service.on_chat = [](const ScriptedService::Call& call) { answer(call.sink); };
  start();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(call("POST", "/v1/chat/completions", kHello).status, 200);
  call("GET", "/unknown");
  const auto response = call("GET", "/metrics");
  EXPECT_THAT(header(response, "content-type"), HasSubstr("version=0.0.4"));
  EXPECT_THAT(response.body, HasSubstr(R"(concerto_requests_total{tier="fast",reason="keyword",status="200"} 3)"));
  EXPECT_THAT(response.body, HasSubstr(R"(concerto_tokens_total{tier="fast",kind="completion"} 12)"));
  EXPECT_THAT(response.body, HasSubstr(R"(concerto_first_token_seconds_count{tier="fast"} 3)"));
  EXPECT_THAT(response.body, HasSubstr(R"(concerto_first_token_seconds_bucket{tier="fast",le="+Inf"} 3)"));
  EXPECT_THAT(response.body, HasSubstr(R"(concerto_engine_running{tier="fast"} 3)"));
  EXPECT_THAT(response.body, HasSubstr(R"(concerto_http_requests_total{method="GET",route="none",status="404"} 1)"));
  EXPECT_THAT(response.body, HasSubstr("concerto_ready 1\n"));
}

TEST_F(ApiServerTest, ServesPagesWithAPolicy) {
  options.assets = {{"/index.html", "<!doctype html>", "GZ", "text/html; charset=utf-8", "\"e1\""},
                    {"/app.js", "let a;", "", "text/javascript", "\"e2\""}};
  options.api_keys = {"user-key-1"};
  start();
  const auto page = call("GET", "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "<!doctype html>");
  const std::string policy = header(page, "content-security-policy");
  EXPECT_THAT(policy, StartsWith("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("require-trusted-types-for 'script'; trusted-types 'none'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_EQ(header(page, "x-content-type-options"), "nosniff");
  const auto zipped = call("GET", "/", {}, {{"Accept-Encoding", "br, gzip"}});
  EXPECT_EQ(zipped.body, "GZ");
  EXPECT_EQ(header(zipped, "content-encoding"), "gzip");
  EXPECT_EQ(call("GET", "/index.html", {}, {{"If-None-Match", "\"e1\""}}).status, 304);
  EXPECT_EQ(call("GET", "/app.js", {}, {{"Accept-Encoding", "gzip"}}).body, "let a;");
  EXPECT_EQ(call("GET", "/other.js").status, 404);
}

TEST_F(ApiServerTest, StaysAliveWhileBodiesAreParsed) {
  service.on_chat = [](const ScriptedService::Call& call) { answer(call.sink); };
  start();
  const std::string big =
      R"({"model":"fast","messages":[{"role":"user","content":")" + std::string(7 << 20, 'a') + "\"}]}";
  std::vector<std::thread> posts;
  for (int i = 0; i < 4; ++i) {
    posts.emplace_back([&] { EXPECT_EQ(call("POST", "/v1/chat/completions", big).status, 200); });
  }
  for (int i = 0; i < 20; ++i) {
    const auto before = steady_clock::now();
    EXPECT_EQ(call("GET", "/livez").status, 200);
    EXPECT_LT(steady_clock::now() - before, milliseconds(500));
  }
  for (auto& post : posts) post.join();
}

}  // namespace
}  // namespace concerto::api
