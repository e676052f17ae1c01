// Connection: one client socket on its loop's thread: reads requests, runs handlers, writes responses, watches for the
// client's leaving. Internal to net/; needs Asio. Everything runs on the loop's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "net/exchange.h"
#include "net/server_core.h"

namespace concerto::net {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;
  template <class T>
  using Async = boost::asio::awaitable<T>;

  Connection(boost::asio::ip::tcp::socket socket, NetworkLoop* loop);
  ~Connection();

  Async<void> run();
  // Enforces the deadline and sends pings. Called a few times a second.
  void sweep(Clock::time_point now);
  // Ends the connection if it is between two requests.
  void close_if_idle();
  void close();

 private:
  struct Incoming;  // a request being read: connection.cpp

  Async<bool> read_head(Incoming* in);
  Async<bool> read_body(Incoming* in);
  [[nodiscard]] bool accept_head(Incoming* in);
  Async<bool> refuse(int status, std::string_view code, std::string_view message);
  Async<bool> respond(Incoming* in);
  Async<bool> deliver(std::shared_ptr<Exchange> exchange);
  Async<void> watch();
  Async<void> pump(Exchange* exchange);
  Async<bool> write_all(std::string_view bytes);
  Async<void> linger();
  void expect_within(int ms) { deadline_ = Clock::now() + std::chrono::milliseconds(ms); }

  boost::asio::ip::tcp::socket socket_;
  NetworkLoop* loop_;
  ServerCore* core_;
  const ServerLimits& limits_;
  boost::asio::steady_timer wake_;    // cancelled when there is something to write
  boost::beast::flat_buffer buffer_;  // received, not yet parsed
  std::string remote_;
  std::shared_ptr<Exchange> exchange_;  // the response under way
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point last_write_;
  bool timed_out_ = false;
  bool idle_ = true;        // between requests, nothing of the next one received
  bool delivered_ = false;  // pump() wrote the whole response
  std::shared_ptr<std::atomic<bool>> wake_posted_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace concerto::net
