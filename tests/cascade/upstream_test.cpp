// The upstream tier against a real HTTP server that behaves well, badly, and not at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cascade/upstream_backend.h"
#include "cascade/upstream_wire.h"
#include "net/http_server.h"
#include "scripted.h"

namespace concerto::cascade {
namespace {

using base::Code;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// Waits for the one End or Error.
struct Collected {
  std::mutex mutex;
  std::condition_variable done;
  std::vector<Delta> deltas;
  std::optional<End> end;
  std::optional<base::Error> error;
  int ends = 0;

  void take(BackendEvent&& event) {
    const std::lock_guard lock(mutex);
    if (auto* delta = std::get_if<Delta>(&event)) deltas.push_back(std::move(*delta));
    if (auto* one = std::get_if<End>(&event)) end = *one, ++ends;
    if (auto* one = std::get_if<base::Error>(&event)) error = *one, ++ends;
    done.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    done.wait_for(lock, std::chrono::seconds(10), [&] { return ends > 0; });
    EXPECT_EQ(ends, 1);
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const Delta& one : deltas) out += one.content;
    return out;
  }
};

std::string event(std::string data) {
  std::replace(data.begin(), data.end(), '\n', ' ');
  return "data: " + data + "\n\n";
}
std::string delta(const std::string& text) {
  return event(json{{"choices", {{{"index", 0}, {"delta", {{"content", text}}}}}}}.dump());
}
std::string finish(const std::string& reason) {
  return event(json{{"choices", {{{"index", 0}, {"delta", json::object()}, {"finish_reason", reason}}}}}.dump());
}

class UpstreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    net::ServerOptions options;
    options.port = 0;
    net::Router router;
    router.add({"POST", "/v1/chat/completions", [this](net::HttpRequest&& request, const net::Writer& writer) {
                  {
                    const std::lock_guard lock(mutex_);
                    body_ = request.body;
                    const std::string* key = request.headers.find("Authorization");
                    key_ = key == nullptr ? "" : *key;
                    if (hold_) held_ = writer;
                  }
                  if (!hold_) answer_(writer);
                }});
    auto started = net::HttpServer::start(options, std::move(router));
    ASSERT_TRUE(started);
    server_ = std::move(*started);
    auto opened = net::HttpClient::open();
    ASSERT_TRUE(opened);
    client_ = std::move(*opened);
    options_.name = "cluster";
    options_.base_url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/v1/";
    options_.model = "qwen2-7b";
    options_.api_key = "sk-secret-123";
    options_.idle_timeout_ms = 300;
  }
  void TearDown() override {
    client_.reset();
    {
      const std::lock_guard lock(mutex_);
      held_.reset();
    }
    server_.reset();
  }
  void stream(const std::vector<std::string>& parts, bool whole = true) {
    answer_ = [=](const net::Writer& writer) {
      writer->begin_stream(200, {{"Content-Type", "text/event-stream"}});
      for (const auto& part : parts) writer->write(part);
      if (whole) writer->end();
    };
  }
  void status(int code, const std::string& body, const std::string& type = "application/json") {
    answer_ = [=](const net::Writer& writer) { writer->send({code, {{"Content-Type", type}}, body}); };
  }
  void run(const ChatRequest& request = ask("hi"), base::CancelToken cancel = {}) {
    seen_ = std::make_unique<Collected>();
    auto made = make_upstream_backend(options_, *client_);
    ASSERT_TRUE(made) << made.error().message;
    backend_ = *made;
    backend_->start(request, {}, [seen = seen_.get()](BackendEvent&& one) { seen->take(std::move(one)); }, cancel);
    if (!hold_) seen_->wait();
  }
  void expect_error(Code code, const std::string& part) {
    ASSERT_TRUE(seen_->error);
    EXPECT_EQ(base::code_name(seen_->error->code), base::code_name(code)) << seen_->error->message;
    EXPECT_THAT(seen_->error->message, HasSubstr("cluster"));
    EXPECT_THAT(seen_->error->message, HasSubstr(part));
    EXPECT_THAT(seen_->error->message, Not(HasSubstr("sk-secret")));
  }

  UpstreamOptions options_;
  std::function<void(const net::Writer&)> answer_;
  bool hold_ = false;
  std::mutex mutex_;
  std::string body_;  // these three guarded by mutex_
  std::string key_;
  net::Writer held_;
  std::unique_ptr<Collected> seen_;  // outlives the client
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<net::HttpClient> client_;
  std::shared_ptr<Backend> backend_;
};

TEST_F(UpstreamTest, StreamsAnAnswer) {
  stream({event(R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})"), ": ping\n\n",
          event(R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})"), delta("你好"), delta("!"), finish("stop"),
          event(R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,
                   "prompt_tokens_details":{"cached_tokens":2}}})"),
          event("[DONE]"), delta("behind the end")});
  run();
  ASSERT_TRUE(seen_->end) << seen_->error->message;
  EXPECT_EQ(seen_->text(), "你好!");
  EXPECT_EQ(seen_->deltas.at(0).reasoning, "hm");
  EXPECT_EQ(seen_->end->usage.prompt_tokens, 7);
  EXPECT_EQ(seen_->end->usage.completion_tokens, 3);
  EXPECT_EQ(seen_->end->usage.cached_tokens, 2);
  EXPECT_EQ(seen_->end->reason, FinishReason::kStop);
  EXPECT_EQ(key_, "Bearer sk-secret-123");
}

TEST_F(UpstreamTest, SendsTheRequest) {
  stream({finish("length"), event("[DONE]")});
  ChatRequest request = ask("hi");
  request.temperature = 0.5F;
  request.max_tokens = 12;
  request.seed = 42;
  request.stop = {"\n"};
  request.logit_bias = {{5, -1.0F}};
  request.extra_template_json = R"({"enable_thinking":false})";
  options_.logprobs = true;
  run(request);
  const json body = json::parse(body_);
  EXPECT_EQ(body["model"], "qwen2-7b");
  EXPECT_EQ(body["messages"], json::parse(R"([{"role":"user","content":"hi"}])"));
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["stream_options"]["include_usage"], true);
  EXPECT_EQ(body["temperature"], 0.5);
  EXPECT_EQ(body["max_tokens"], 12);
  EXPECT_EQ(body["seed"], 42);
  EXPECT_EQ(body["stop"], json::parse(R"(["\n"])"));
  EXPECT_EQ(body["logit_bias"], json::parse(R"({"5":-1.0})"));
  EXPECT_EQ(body["logprobs"], true);
  EXPECT_EQ(body["top_logprobs"], 2);
  EXPECT_EQ(body["chat_template_kwargs"]["enable_thinking"], false);
  EXPECT_FALSE(body.contains("top_k")) << "unset fields take the upstream's default";
  EXPECT_EQ(seen_->end->reason, FinishReason::kLength);
}

TEST_F(UpstreamTest, ReadsLogprobs) {
  options_.logprobs = true;
  stream({event(R"({"choices":[{"delta":{"content":"好"},"logprobs":{"content":[
            {"token":"bytes:\\xe5","logprob":-0.1,"bytes":[229],"top_logprobs":[
               {"token":"a","logprob":-0.1,"bytes":[97]},{"token":"b","logprob":-2.4,"bytes":[98]}]},
            {"token":"x","logprob":-0.25,"bytes":null,"top_logprobs":[]}]}}]})"),
          finish("stop"), event("[DONE]")});
  run();
  ASSERT_EQ(seen_->deltas.size(), 1U);
  const auto& tokens = seen_->deltas[0].tokens;
  ASSERT_EQ(tokens.size(), 2U);
  EXPECT_EQ(tokens[0].bytes, "\xE5");
  EXPECT_NEAR(tokens[0].margin, std::exp(-0.1) - std::exp(-2.4), 1e-6);
  EXPECT_EQ(tokens[1].bytes, "x");
  EXPECT_FLOAT_EQ(tokens[1].logprob, -0.25F);
  EXPECT_EQ(tokens[1].margin, 0.0F);
  EXPECT_TRUE(backend_->capabilities().logprobs);
}

TEST_F(UpstreamTest, AServerThatDoesNotStream) {
  status(200, R"({"choices":[{"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}],
                  "usage":{"prompt_tokens":1,"completion_tokens":1}})");
  run();
  ASSERT_TRUE(seen_->end);
  EXPECT_EQ(seen_->text(), "whole");
}

TEST_F(UpstreamTest, StatusesBecomeCodes) {
  const std::string body = R"({"error":{"message":"bad key sk-secret-123 here"}})";
  const std::vector<std::pair<int, Code>> table = {
      {401, Code::kUpstream}, {403, Code::kUpstream},        {404, Code::kUpstream},       {429, Code::kBusy},
      {500, Code::kUpstream}, {502, Code::kUpstream},        {503, Code::kUnavailable},    {504, Code::kTimeout},
      {413, Code::kTooLarge}, {400, Code::kInvalidArgument}, {422, Code::kInvalidArgument}};
  for (const auto& [code, expected] : table) {
    status(code, body);
    run();
    expect_error(expected, "status " + std::to_string(code));
    EXPECT_THAT(seen_->error->message, HasSubstr("bad key *** here"));
  }
}

TEST_F(UpstreamTest, ContextLengthIsRecognised) {
  status(400, R"({"error":{"message":"This model's maximum context length is 4096 tokens"}})");
  run();
  expect_error(Code::kContextLength, "4096");
}

TEST_F(UpstreamTest, ErrorBodiesOfAnyKind) {
  for (const std::string& body : {std::string("<html>nope</html>"), std::string(), std::string(200'000, 'x'),
                                  std::string("\xFF\xFE"), std::string(100'000, '[')}) {
    status(500, body, "text/html");
    run();
    expect_error(Code::kUpstream, "status 500");
    EXPECT_LT(seen_->error->message.size(), 500U);
  }
}

TEST_F(UpstreamTest, RedirectsAreNotFollowed) {
  answer_ = [](const net::Writer& writer) { writer->send({302, {{"Location", "http://127.0.0.1:1/"}}, ""}); };
  run();
  expect_error(Code::kUpstream, "redirects are not followed");
}

TEST_F(UpstreamTest, TruncatedStreams) {
  stream({delta("half"), delta("way")});  // a clean end of the response, but no finish_reason
  run();
  expect_error(Code::kUpstream, "broke its stream off");
  EXPECT_EQ(seen_->text(), "halfway");
  stream({delta("half")}, /*whole=*/false);  // the connection is cut
  run();
  ASSERT_TRUE(seen_->error);
  EXPECT_EQ(seen_->error->code, Code::kUpstream);
  stream({delta("half"), "data: {\"choices\":[{\"del"});
  run();
  expect_error(Code::kUpstream, "broke its stream off");
}

TEST_F(UpstreamTest, AFinishWithoutDoneIsAnEnd) {
  stream({delta("all"), finish("content_filter")});
  run();
  ASSERT_TRUE(seen_->end);
  EXPECT_EQ(seen_->end->reason, FinishReason::kContentFilter);
}

TEST_F(UpstreamTest, Garbage) {
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  for (const std::string& data :
       {std::string("not json"), std::string("[1]"), std::string("{}"), deep, std::string(R"({"choices":5})"),
        std::string("{\"choices\":[{\"delta\":{\"content\":\"\xFF\"}}]}"),
        std::string(R"({"choices":[{"delta":{"content":"\ud800"}}]})")}) {
    stream({delta("ok"), event(data), finish("stop"), event("[DONE]")});
    run();
    ASSERT_TRUE(seen_->error) << data.substr(0, 40);
    EXPECT_EQ(seen_->error->code, Code::kUpstream);
  }
  // Wrong types inside of a chunk are not answers, but no reason to give up either.
  stream({event(R"({"choices":[{"delta":{"content":7},"logprobs":{"content":[{"token":1},5,{"logprob":"x"}]}}]})"),
          event(R"({"choices":[7]})"), event(R"({"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":1e99}})"),
          delta("ok"), finish("stop"), event("[DONE]")});
  run();
  ASSERT_TRUE(seen_->end) << seen_->error->message;
  EXPECT_EQ(seen_->text(), "ok");
  EXPECT_EQ(seen_->end->usage.prompt_tokens, 0);
}

TEST_F(UpstreamTest, AnErrorInTheStream) {
  stream({delta("x"), "event: error\n" + event(R"({"error":{"message":"overloaded, key sk-secret-123","code":500}})")});
  run();
  expect_error(Code::kUpstream, "overloaded, key ***");
}

TEST_F(UpstreamTest, AnEventWithoutEndIsNotSwallowed) {
  stream({"data: " + std::string(size_t{2} << 20, 'x')});
  run();
  expect_error(Code::kUpstream, "at most");
}

TEST_F(UpstreamTest, SilenceTimesOut) {
  hold_ = true;
  run();
  seen_->wait();
  expect_error(Code::kTimeout, "");
}

TEST_F(UpstreamTest, CancelEndsIt) {
  hold_ = true;
  options_.idle_timeout_ms = 60'000;
  base::CancelToken cancel;
  run(ask("hi"), cancel);
  cancel.cancel();
  seen_->wait();
  expect_error(Code::kCancelled, "");
}

TEST_F(UpstreamTest, NobodyListens) {
  options_.base_url = "http://127.0.0.1:1/v1";
  run();
  expect_error(Code::kUnavailable, "");
}

TEST_F(UpstreamTest, OptionsAreChecked) {
  const auto refused = [&](auto change) {
    UpstreamOptions options = options_;
    change(&options);
    auto made = make_upstream_backend(options, *client_);
    return !made && made.error().code == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](auto* o) { o->base_url = "ftp://x"; }));
  EXPECT_TRUE(refused([](auto* o) { o->model.clear(); }));
  EXPECT_TRUE(refused([](auto* o) { o->name.clear(); }));
  EXPECT_TRUE(refused([](auto* o) { o->api_key = "a\r\nX-Evil: 1"; }));
  EXPECT_FALSE(refused([](auto*) {}));
}

TEST(ApiKey, ComesFromTheEnvironmentOrAFile) {
  ASSERT_EQ(setenv("CONCERTO_TEST_KEY", "from-env", 1), 0);
  EXPECT_EQ(*read_api_key("CONCERTO_TEST_KEY", ""), "from-env");
  EXPECT_EQ(*read_api_key("", ""), "");
  EXPECT_EQ(read_api_key("CONCERTO_TEST_NO_KEY", "").error().code, Code::kNotFound);
  const std::string file = ::testing::TempDir() + "/concerto_key";
  std::ofstream(file) << "from-file \r\nrest\n";
  EXPECT_EQ(*read_api_key("CONCERTO_TEST_NO_KEY", file), "from-file");
  std::ofstream(file) << "\n";
  EXPECT_FALSE(read_api_key("", file));
  EXPECT_EQ(read_api_key("", file + ".absent").error().code, Code::kIo);
}

}  // namespace
}  // namespace concerto::cascade
