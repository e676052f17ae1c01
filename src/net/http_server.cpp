#include "net/http_server.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "base/log.h"
#include "net/connection.h"
#include "net/server_core.h"

namespace concerto::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Code;
using boost::system::error_code;

constexpr auto kSweep = std::chrono::milliseconds(250);

asio::awaitable<void> sweep(NetworkLoop* loop) {
  error_code ec;
  while (!ec) {
    loop->sweep_timer.expires_after(kSweep);
    co_await loop->sweep_timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    const auto now = Connection::Clock::now();
    for (Connection* connection : loop->connections) connection->sweep(now);
  }
}

class Server final : public HttpServer {
 public:
  Server(ServerOptions options, Router router) : core_(std::move(options), std::move(router)) {
    for (int i = 0; i < std::max(1, core_.options.network_threads); ++i) {
      loops_.push_back(std::make_unique<NetworkLoop>(&core_));
    }
    acceptor_.emplace(loops_.front()->context);
  }

  ~Server() override { stop(0); }

  base::Status listen() {
    const ServerOptions& o = core_.options;
    const std::string where = fmt::format("{}:{}", o.bind, o.port);
    error_code ec;
    const auto address = asio::ip::make_address(o.bind == "localhost" ? "127.0.0.1" : o.bind, ec);
    if (ec) {
      return base::fail(Code::kInvalidArgument,
                        fmt::format("bind: expected an IP address or 'localhost', found '{}'", o.bind), "bind");
    }
    const tcp::endpoint endpoint(address, o.port);
    acceptor_->open(endpoint.protocol(), ec);
    if (!ec) acceptor_->set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor_->bind(endpoint, ec);
    if (!ec) acceptor_->listen(1024, ec);
    if (ec) return base::fail(Code::kIo, fmt::format("listen on {}: {}", where, ec.message()), "port");
    port_ = acceptor_->local_endpoint(ec).port();
    return {};
  }

  void run() {
    asio::co_spawn(loops_.front()->context, accept(), asio::detached);
    for (auto& loop : loops_) {
      asio::co_spawn(loop->context, sweep(loop.get()), asio::detached);
      loop->thread = std::thread([context = &loop->context] { context->run(); });
    }
  }

  [[nodiscard]] uint16_t port() const override { return port_; }
  [[nodiscard]] int connections() const override { return core_.connections.load(); }

  void stop(int drain_ms) override {
    if (stopped_) return;
    stopped_ = true;
    core_.draining = true;
    asio::post(loops_.front()->context, [this] {
      error_code ec;
      acceptor_->close(ec);
    });
    each_connection([](Connection* c) { c->close_if_idle(); });
    {
      std::unique_lock lock(core_.mutex);
      core_.empty.wait_for(lock, std::chrono::milliseconds(drain_ms), [&] { return core_.connections.load() == 0; });
    }
    each_connection([](Connection* c) { c->close(); });
    {
      // Closed sockets end their coroutines at once; what is still there after that goes down with the loop.
      std::unique_lock lock(core_.mutex);
      core_.empty.wait_for(lock, std::chrono::milliseconds(500), [&] { return core_.connections.load() == 0; });
    }
    core_.workers.join();
    for (auto& loop : loops_) loop->context.stop();
    for (auto& loop : loops_) {
      if (loop->thread.joinable()) loop->thread.join();
    }
    acceptor_.reset();
    loops_.clear();
  }

 private:
  template <class F>
  void each_connection(F f) {
    for (auto& loop : loops_) {
      asio::post(loop->context, [l = loop.get(), f] {
        // A copy: closing may end a connection, which takes itself off the list.
        const std::vector<Connection*> all(l->connections.begin(), l->connections.end());
        for (Connection* connection : all) f(connection);
      });
    }
  }

  asio::awaitable<void> accept() {
    size_t next = 0;
    while (acceptor_->is_open()) {
      NetworkLoop* loop = loops_[next++ % loops_.size()].get();
      tcp::socket socket(loop->context);
      error_code ec;
      co_await acceptor_->async_accept(socket, asio::redirect_error(asio::use_awaitable, ec));
      if (ec == asio::error::operation_aborted || !acceptor_->is_open()) break;
      if (ec) {  // out of descriptors, most likely: give the others time to end
        base::log(base::LogLevel::kWarn, "accept failed reason={}", ec.message());
        asio::steady_timer pause(loops_.front()->context, std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        continue;
      }
      if (core_.connections.fetch_add(1) >= core_.options.limits.connections) {
        core_.connections.fetch_sub(1);
        turn_away(&socket);
        continue;
      }
      asio::post(loop->context, [loop, s = std::move(socket)]() mutable {
        const auto connection = std::make_shared<Connection>(std::move(s), loop);
        asio::co_spawn(
            loop->context, [connection] { return connection->run(); },
            [](const std::exception_ptr& error) {
              if (!error) return;
              try {
                std::rethrow_exception(error);
              } catch (const std::exception& e) {
                base::log(base::LogLevel::kError, "connection failed what={}", e.what());
              }
            });
      });
    }
  }

  // Full: one short answer if the socket takes it, without waiting for the client.
  void turn_away(tcp::socket* socket) const {
    const HttpResponse body = core_.error(503, "too_many_connections", "the server has all the connections it takes");
    const std::string text = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
        "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        body.body.size(), body.body);
    error_code ec;
    socket->non_blocking(true, ec);
    socket->write_some(asio::buffer(text), ec);
    socket->shutdown(tcp::socket::shutdown_send, ec);
  }

  ServerCore core_;
  std::vector<std::unique_ptr<NetworkLoop>> loops_;
  std::optional<tcp::acceptor> acceptor_;
  uint16_t port_ = 0;
  bool stopped_ = false;
};

}  // namespace

base::Result<std::unique_ptr<HttpServer>> HttpServer::start(ServerOptions options, Router router) {
  auto server = std::make_unique<Server>(std::move(options), std::move(router));
  if (auto status = server->listen(); !status) return tl::make_unexpected(status.error());
  server->run();
  return server;
}

}  // namespace concerto::net
