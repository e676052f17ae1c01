#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "net/raw_client.h"

namespace concerto::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  void set() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  bool wait(int ms) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, milliseconds(ms), [&] { return open; });
  }
};

class HttpServerTest : public ::testing::Test {
 protected:
  void start() {
    options.port = 0;
    Router router;
    router.add({"GET", "/hello", [](HttpRequest&&, const Writer& writer) {
                  writer->send({200, {{"Content-Type", "text/plain"}}, "hello"});
                }});
    router.add({"POST", "/echo",
                [](HttpRequest&& request, const Writer& writer) { writer->send({200, {}, std::move(request.body)}); }});
    router.add({"GET", "/items/{id}",
                [](HttpRequest&& request, const Writer& writer) {
                  writer->send({200, {}, "item " + request.params.at(0) + "?" + request.query});
                },
                RunOn::kWorker});
    router.add({"GET", "/drop", [](HttpRequest&&, const Writer&) {}, RunOn::kWorker});
    router.add({"GET", "/throw", [](HttpRequest&&, const Writer&) { throw std::runtime_error("bug"); }});
    router.add({"GET", "/stream", [this](HttpRequest&&, const Writer& writer) {
                  writer->begin_stream(200, {{"Content-Type", "text/event-stream"}}, {": ping\n\n"});
                  const std::lock_guard lock(mutex);
                  held = writer;
                }});
    router.add({"GET", "/hold",
                [this](HttpRequest&&, const Writer& writer) {
                  writer->on_gone([this] { gone.set(); });
                  const std::lock_guard lock(mutex);
                  held = writer;
                },
                RunOn::kWorker});
    auto started = HttpServer::start(options, std::move(router));
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }
  void TearDown() override {
    {
      const std::lock_guard lock(mutex);
      held.reset();
    }
    if (server) server->stop(0);
  }
  Writer wait_held() {
    for (int i = 0; i < 1000; ++i) {
      {
        const std::lock_guard lock(mutex);
        if (held) return held;
      }
      std::this_thread::sleep_for(milliseconds(2));
    }
    return nullptr;
  }
  std::string once(const std::string& bytes) {
    RawClient client(server->port());
    client.send(bytes);
    return client.read_response();
  }

  ServerOptions options;
  std::unique_ptr<HttpServer> server;
  std::mutex mutex;
  Writer held;  // guarded by mutex
  Gate gone;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  start();
  RawClient client(server->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    const std::string response = client.read_response();
    EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(response, HasSubstr("\r\nDate: "));
    EXPECT_THAT(response, HasSubstr("\r\n\r\nhello"));
  }
  // Two at once, pipelined, and a leading empty line.
  client.send(
      "\r\nGET /hello HTTP/1.1\r\nHost: a.localhost:80\r\n\r\nGET /items/a%20b?x=1 HTTP/1.1\r\nHost: [::1]:1\r\n\r\n");
  EXPECT_THAT(client.read_response(), HasSubstr("hello"));
  EXPECT_THAT(client.read_response(), HasSubstr("item a b?x=1"));
  client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_all(), HasSubstr("Connection: close"));
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServerTest, RoutesMethodsAndPaths) {
  start();
  const auto get = [&](const std::string& line) { return once(line + " HTTP/1.1\r\nHost: localhost\r\n\r\n"); };
  EXPECT_THAT(get("GET /nowhere"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("GET /items/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("GET /items/a/b"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("GET /items/%zz"), StartsWith("HTTP/1.1 400"));
  const std::string wrong = get("DELETE /echo");
  EXPECT_THAT(wrong, StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(wrong, HasSubstr("Allow: POST, OPTIONS\r\n"));
  const std::string options_of = get("OPTIONS /hello");
  EXPECT_THAT(options_of, StartsWith("HTTP/1.1 204"));
  EXPECT_THAT(options_of, HasSubstr("Allow: GET, HEAD, OPTIONS\r\n"));
  EXPECT_THAT(options_of, ::testing::Not(HasSubstr("Access-Control")));
  RawClient head(server->port());
  head.send("HEAD /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string& text = head.read_all();
  EXPECT_THAT(text, HasSubstr("Content-Length: 5"));
  EXPECT_THAT(text, ::testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(get("GET /drop"), StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(get("GET /throw"), StartsWith("HTTP/1.1 500"));
}

TEST_F(HttpServerTest, TakesBodiesByLengthAndByChunks) {
  start();
  RawClient client(server->port());
  client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab");
  std::this_thread::sleep_for(milliseconds(20));
  client.send("cde");
  EXPECT_THAT(client.read_response(), HasSubstr("\r\n\r\nabcde"));
  client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n");
  client.send("A\r\n0123456789\r\n0\r\n\r\n");
  EXPECT_THAT(client.read_response(), HasSubstr("\r\n\r\nabc0123456789"));
  client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(client.read_until("100 Continue\r\n\r\n"));
  client.send("ok");
  ASSERT_TRUE(client.read_until("\r\n\r\nok"));
}

TEST_F(HttpServerTest, RefusesWhatTwoParsersCouldReadDifferently) {
  start();
  const std::string post = "POST /echo HTTP/1.1\r\nHost: localhost\r\n";
  const std::string attacks[] = {
      post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
      post + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
      post + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
      post + "Content-Length: 4, 4\r\n\r\nabcd",
      post + "Content-Length: +4\r\n\r\nabcd",
      post + "Content-Length: -1\r\n\r\n",
      post + "Content-Length: 0x4\r\n\r\nabcd",
      post + "Content-Length: 99999999999999999999999\r\n\r\nabcd",
      post + "Content-Length:\r\n\r\n",
      post + "Content-Length : 4\r\n\r\nabcd",
      post + "Transfer-Encoding: identity\r\n\r\n",
      post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding:\x0B chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
      "POST /echo HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET /hello HTTP/1.1\nHost: localhost\n\n",
      "GET /hello HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
      "GET /hello HTTP/1.1\r\n Host: localhost\r\n\r\n",
      "GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
      std::string("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 48),
      "GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
      "GET /hello HTTP/1.1\r\n\r\n",
      "GET http://localhost/hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET  /hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /hello HTTP/1.1 \r\nHost: localhost\r\n\r\n",
      "GET /hello\r\n\r\n",
      "\x16\x03\x01\x02\r\n\r\n",
  };
  for (const std::string& attack : attacks) {
    RawClient client(server->port());
    client.send(attack);
    // Whatever follows on the connection must never be taken for a request.
    client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.half_close();
    const std::string& all = client.read_all();
    EXPECT_THAT(all, ::testing::AnyOf(StartsWith("HTTP/1.1 4"), StartsWith("HTTP/1.1 505"))) << attack;
    EXPECT_EQ(all.find("HTTP/1.1 200"), std::string::npos) << attack << "\n---\n" << all;
    EXPECT_TRUE(client.closed()) << attack;
  }
  EXPECT_THAT(once("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"), HasSubstr("hello"));
}

TEST_F(HttpServerTest, RefusesForeignHosts) {
  options.allowed_hosts = {"box.lan"};
  start();
  const auto with = [&](const std::string& host) { return once("GET /hello HTTP/1.1\r\nHost: " + host + "\r\n\r\n"); };
  for (const char* good : {"localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:90",
                           "x.localhost", "box.lan:8080", "localhost."}) {
    EXPECT_THAT(with(good), StartsWith("HTTP/1.1 200")) << good;
  }
  for (const char* bad :
       {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.localhost.example", "127.0.0.256",
        "127.0.0", "10.0.0.1", "", "[::2]", "localhost@evil.example", "box.lan.evil"}) {
    EXPECT_THAT(with(bad), StartsWith("HTTP/1.1 403")) << bad;
  }
  EXPECT_TRUE(host_allowed("any.example", "0.0.0.0", {}));
  EXPECT_FALSE(host_allowed("any.example", "0.0.0.0", {"api.example"}));
}

TEST_F(HttpServerTest, LimitsHeadsBodiesAndTime) {
  options.limits.body_bytes = 1000;
  options.limits.header_ms = 300;
  options.limits.body_stall_ms = 300;
  start();
  EXPECT_THAT(once("GET /hello HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20000, 'a') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  std::string many = "GET /hello HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 120; ++i) many += "X: y\r\n";
  EXPECT_THAT(once(many + "\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(once("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(once("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n" +
                   std::string(1001, 'b') + "\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(once("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'c')),
              StartsWith("HTTP/1.1 200"));
  RawClient slow_head(server->port());
  slow_head.send("GET /hel");
  EXPECT_THAT(slow_head.read_all(3000), StartsWith("HTTP/1.1 408"));
  RawClient slow_body(server->port());
  slow_body.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_THAT(slow_body.read_all(3000), StartsWith("HTTP/1.1 408"));
  RawClient silent(server->port());
  EXPECT_EQ(silent.read_all(3000), "");
  EXPECT_TRUE(silent.closed());
}

TEST_F(HttpServerTest, StreamsFromAnotherThread) {
  options.limits.ping_ms = 100;
  start();
  RawClient client(server->port());
  client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Writer writer = wait_held();
  ASSERT_TRUE(writer);
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("Transfer-Encoding: chunked"));
  ASSERT_TRUE(client.read_until("8\r\n: ping\n\n\r\n", 2000));
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(writer->write("data: x\n\n"));
    writer->end();
  });
  other.join();
  ASSERT_TRUE(client.read_until("0\r\n\r\n"));
  size_t count = 0;
  for (size_t at = 0; (at = client.received().find("9\r\ndata: x\n\n\r\n", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 100U);
  EXPECT_FALSE(writer->gone());
  // The connection goes on.
  client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_TRUE(client.read_until("\r\n\r\nhello"));
}

TEST_F(HttpServerTest, NoticesALeavingClientWithin200Ms) {
  start();
  for (const std::string path : {"/hold", "/stream"}) {
    for (const int how : {0, 1, 2}) {
      {
        const std::lock_guard lock(mutex);
        held.reset();
      }
      RawClient client(server->port());
      client.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
      const Writer writer = wait_held();
      ASSERT_TRUE(writer);
      Gate noticed;
      writer->on_gone([&] { noticed.set(); });
      const auto before = steady_clock::now();
      if (how == 0) client.close();
      if (how == 1) client.reset();
      if (how == 2) client.half_close();
      EXPECT_TRUE(noticed.wait(5000)) << path << how;
      EXPECT_LT(steady_clock::now() - before, milliseconds(200)) << path << how;
      EXPECT_TRUE(writer->cancel_token().cancelled());
      EXPECT_TRUE(writer->gone());
      EXPECT_FALSE(writer->write("data: late\n\n"));
    }
  }
}

TEST_F(HttpServerTest, CutsOffAClientThatDoesNotRead) {
  options.limits.queued_bytes = 1 << 20;
  start();
  RawClient client(server->port());
  client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Writer writer = wait_held();
  ASSERT_TRUE(writer);
  const std::string block(64 << 10, 'x');
  bool open = true;
  for (int i = 0; i < 2000 && open; ++i) open = writer->write(block);
  EXPECT_FALSE(open);
  EXPECT_TRUE(writer->cancel_token().cancelled());
}

TEST_F(HttpServerTest, ClosesWhenTheClientTakesNothingForTooLong) {
  options.limits.write_stall_ms = 300;
  options.limits.queued_bytes = size_t{64} << 20;
  start();
  RawClient client(server->port());
  client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Writer writer = wait_held();
  ASSERT_TRUE(writer);
  Gate noticed;
  writer->on_gone([&] { noticed.set(); });
  ASSERT_TRUE(writer->write(std::string(32 << 20, 'x')));
  EXPECT_TRUE(noticed.wait(3000));
}

TEST_F(HttpServerTest, TurnsAwayWhatIsTooMany) {
  options.limits.connections = 4;
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(clients.back()->read_response(), HasSubstr("hello"));
  }
  RawClient fifth(server->port());
  EXPECT_THAT(fifth.read_all(), StartsWith("HTTP/1.1 503"));
  clients.pop_back();
  for (int i = 0; i < 200 && server->connections() >= 4; ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_THAT(once("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"), HasSubstr("hello"));
}

TEST_F(HttpServerTest, DrainsStreamsUnderWay) {
  start();
  RawClient idle(server->port());
  idle.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
  idle.read_response();
  RawClient client(server->port());
  client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Writer writer = wait_held();
  ASSERT_TRUE(writer);
  std::thread stopper([&] { server->stop(5000); });
  EXPECT_EQ(idle.read_all(2000), "");
  EXPECT_TRUE(idle.closed());
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(RawClient(server->port()).connected() && RawClient(server->port()).send("x") && false);
  EXPECT_TRUE(writer->write("data: last\n\n"));
  writer->end();
  EXPECT_TRUE(client.read_until("0\r\n\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("data: last"));
  client.close();
  stopper.join();
}

TEST_F(HttpServerTest, StopCutsWhatDoesNotEndAndWritersSurviveIt) {
  start();
  RawClient client(server->port());
  client.send("GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Writer writer = wait_held();
  ASSERT_TRUE(writer);
  const auto before = steady_clock::now();
  server->stop(100);
  EXPECT_LT(steady_clock::now() - before, milliseconds(1500));
  EXPECT_TRUE(gone.wait(100));
  server.reset();
  EXPECT_FALSE(writer->send({200, {}, "late"}));
}

TEST_F(HttpServerTest, ServesManyAtOnce) {
  options.network_threads = 2;
  start();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      RawClient client(server->port());
      for (int i = 0; i < 200; ++i) {
        const std::string body = std::to_string(t * 1000 + i);
        client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
                    "\r\n\r\n" + body);
        const std::string response = client.read_response();
        if (response.size() > body.size() && response.ends_with("\r\n\r\n" + body)) ++good;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 8 * 200);
}

TEST(HttpServer, SaysWhyItCannotListen) {
  ServerOptions options;
  options.bind = "not an address";
  auto bad = HttpServer::start(options, {});
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("not an address"));
  options.bind = "127.0.0.1";
  options.port = 0;
  auto first = HttpServer::start(options, {});
  ASSERT_TRUE(first);
  options.port = (*first)->port();
  auto second = HttpServer::start(options, {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("127.0.0.1:" + std::to_string(options.port)));
}

}  // namespace
}  // namespace concerto::net
