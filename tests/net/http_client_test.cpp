#include "net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "net/http_server.h"
#include "net/sse_parser.h"

namespace concerto::net {
namespace {

using base::Code;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

class HttpClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ServerOptions options;
    options.port = 0;
    Router router;
    router.add({"POST", "/echo", [](HttpRequest&& request, const Writer& writer) {
                  const std::string* type = request.headers.find("Content-Type");
                  writer->send({201, {{"X-Type", type == nullptr ? "" : *type}}, request.body});
                }});
    router.add({"GET", "/redirect",
                [](HttpRequest&&, const Writer& writer) { writer->send({302, {{"Location", "/echo"}}, "moved"}); }});
    router.add({"GET", "/events", [](HttpRequest&&, const Writer& writer) {
                  writer->begin_stream(200, {{"Content-Type", "text/event-stream"}});
                  for (int i = 0; i < 3; ++i) writer->write("data: " + std::to_string(i) + "\n\n");
                  writer->end();
                }});
    router.add({"GET", "/cut", [](HttpRequest&&, const Writer& writer) {
                  writer->begin_stream(200, {});
                  writer->write("half");  // then the writer dies
                }});
    router.add({"GET", "/hold", [this](HttpRequest&&, const Writer& writer) {
                  writer->begin_stream(200, {});
                  const std::lock_guard lock(mutex);
                  held = writer;
                }});
    router.add({"GET", "/big",
                [](HttpRequest&&, const Writer& writer) { writer->send({200, {}, std::string(100000, 'x')}); }});
    auto started = HttpServer::start(options, std::move(router));
    ASSERT_TRUE(started);
    server = std::move(*started);
    auto opened = HttpClient::open();
    ASSERT_TRUE(opened);
    client = std::move(*opened);
  }
  void TearDown() override {
    client.reset();
    {
      const std::lock_guard lock(mutex);
      held.reset();
    }
    server->stop(0);
  }
  ClientRequest get(const std::string& path) {
    ClientRequest request;
    request.method = "GET";
    request.url = "http://127.0.0.1:" + std::to_string(server->port()) + path;
    return request;
  }

  std::mutex mutex;
  Writer held;  // guarded by mutex
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
};

TEST_F(HttpClientTest, PostsAndReadsTheAnswer) {
  ClientRequest request = get("/echo");
  request.method = "POST";
  request.body = R"({"a": "合同"})";
  request.headers.add("Content-Type", "application/json");
  const auto response = client->fetch(request);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, request.body);
  EXPECT_EQ(*response->headers.find("x-type"), "application/json");
}

TEST_F(HttpClientTest, FollowsNoRedirect) {
  const auto response = client->fetch(get("/redirect"));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 302);
  EXPECT_EQ(response->body, "moved");
}

TEST_F(HttpClientTest, StreamsEvents) {
  SseParser parser;
  std::vector<SseEvent> events;
  const auto response = client->fetch(get("/events"));
  ASSERT_TRUE(response);
  ASSERT_TRUE(parser.feed(response->body, &events));
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[2].data, "2");
}

TEST_F(HttpClientTest, TellsFailuresApart) {
  const auto code = [&](ClientRequest request) {
    const auto response = client->fetch(std::move(request));
    return response ? Code::kInternal : response.error().code;
  };
  EXPECT_EQ(code(get("/cut")), Code::kUpstream);
  ClientRequest big = get("/big");
  big.max_body_bytes = 1000;
  EXPECT_EQ(code(big), Code::kTooLarge);
  ClientRequest nobody = get("/");
  nobody.url = "http://127.0.0.1:1/";
  EXPECT_EQ(code(nobody), Code::kUnavailable);
  ClientRequest no_name = get("/");
  no_name.url = "http://nothing.invalid/";
  EXPECT_EQ(code(no_name), Code::kUnavailable);
  ClientRequest file = get("/");
  file.url = "file:///etc/hostname";
  EXPECT_EQ(code(file), Code::kInvalidArgument);
  ClientRequest tls = get("/hello");
  tls.url.replace(0, 4, "https");
  EXPECT_EQ(code(tls), Code::kUnavailable);
  ClientRequest injected = get("/events");
  injected.headers.add("X", "a\r\nY: b");
  EXPECT_EQ(code(injected), Code::kInvalidArgument);
  ClientRequest method = get("/events");
  method.method = "BREW";
  EXPECT_EQ(code(method), Code::kInvalidArgument);
}

TEST_F(HttpClientTest, GivesUpOnSilence) {
  ClientRequest idle = get("/hold");
  idle.idle_timeout_ms = 200;
  auto before = steady_clock::now();
  auto response = client->fetch(idle);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::kTimeout);
  EXPECT_THAT(response.error().message, HasSubstr("200 ms"));
  EXPECT_LT(steady_clock::now() - before, milliseconds(1000));
  ClientRequest total = get("/hold");
  total.total_timeout_ms = 200;
  before = steady_clock::now();
  response = client->fetch(total);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::kTimeout);
  EXPECT_LT(steady_clock::now() - before, milliseconds(2000));
}

TEST_F(HttpClientTest, CancelsQuicklyAndTheServerNotices) {
  const base::CancelToken cancel;
  std::thread canceller([&] {
    std::this_thread::sleep_for(milliseconds(100));
    cancel.cancel();
  });
  const auto before = steady_clock::now();
  const auto response = client->fetch(get("/hold"), cancel);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::kCancelled);
  EXPECT_LT(steady_clock::now() - before, milliseconds(300));
  canceller.join();
  Writer writer;
  {
    const std::lock_guard lock(mutex);
    writer = held;
  }
  for (int i = 0; i < 100 && !writer->gone(); ++i) std::this_thread::sleep_for(milliseconds(2));
  EXPECT_TRUE(writer->gone());
}

TEST_F(HttpClientTest, EndsItsTransfersWhenItStops) {
  bool done = false;
  base::Status last;
  ClientHandler handler;
  handler.on_done = [&](base::Status status) {
    done = true;
    last = std::move(status);
  };
  client->start(get("/hold"), std::move(handler), {});
  std::this_thread::sleep_for(milliseconds(100));
  client.reset();
  EXPECT_TRUE(done);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace concerto::net
