// What the connections of a server share. Internal to net/; needs Asio.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "net/http_server.h"

namespace concerto::net {

class Connection;

struct ServerCore {
  ServerOptions options;
  Router router;
  std::atomic<size_t> queued_bytes{0};
  std::atomic<int> connections{0};
  std::atomic<bool> draining{false};
  std::mutex mutex;
  std::condition_variable empty;  // with `mutex`: connections may have become 0
  boost::asio::thread_pool workers;

  ServerCore(ServerOptions o, Router r)
      : options(std::move(o)),
        router(std::move(r)),
        workers(static_cast<size_t>(std::max(1, options.worker_threads))) {}

  [[nodiscard]] HttpResponse error(int status, std::string_view code, std::string_view message) const {
    if (options.error_response) return options.error_response(status, code, message);
    return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::string(message) + "\n"};
  }
};

// One event loop and the connections that live on its thread.
struct NetworkLoop {
  explicit NetworkLoop(ServerCore* shared) : core(shared), sweep_timer(context) {}

  ServerCore* core;
  boost::asio::io_context context{1};
  boost::asio::steady_timer sweep_timer;
  std::unordered_set<Connection*> connections;  // touched on the loop's thread only
  std::thread thread;
};

}  // namespace concerto::net
