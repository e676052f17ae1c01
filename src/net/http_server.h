// HttpServer: HTTP/1.1 on Boost.Asio and Beast; neither shows outside the .cpp files.
//
// `network_threads` threads each run their own event loop and own the connections they accepted. Handlers run there, or
// on one of `worker_threads` for routes that say so. Responses go through a ResponseWriter, from any thread. A message
// whose end two parsers could see in different places is refused and its connection closed: Content-Length beside
// Transfer-Encoding, two Content-Lengths, any transfer coding but "chunked", bare LF, whitespace before a colon.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http_message.h"
#include "net/router.h"

namespace concerto::net {

struct ServerLimits {
  size_t header_bytes = size_t{16} << 10;
  size_t header_fields = 100;
  size_t body_bytes = size_t{8} << 20;
  size_t queued_bytes = size_t{4} << 20;          // of one response, waiting for its client
  size_t total_queued_bytes = size_t{256} << 20;  // of all of them
  int connections = 2048;
  int header_ms = 10'000;      // from a request's first chance to come to the end of its head (of the first request)
  int idle_ms = 75'000;        // between two requests of a connection
  int body_stall_ms = 10'000;  // without a byte of the body
  int body_total_ms = 300'000;
  int write_stall_ms = 30'000;  // without the client taking a byte
  int ping_ms = 15'000;
};

// What became of a request, for logs and metrics.
struct RequestRecord {
  std::string_view method;
  std::string_view pattern;  // of the route; empty: none matched
  int status = 0;            // 499: the client left before the head was sent
  double seconds = 0;
};

struct ServerOptions {
  std::string bind = "127.0.0.1";  // an IP address, or "localhost"
  uint16_t port = 8080;            // 0: any free one
  int network_threads = 1;
  int worker_threads = 2;
  ServerLimits limits;
  // Names and addresses (without port) that the Host field may hold besides localhost and loopback addresses when the
  // server binds to a loopback address; with another bind, empty: any.
  std::vector<std::string> allowed_hosts;
  // The body of an error that the server itself answers: `code` is a short name like "header_too_large".
  std::function<HttpResponse(int status, std::string_view code, std::string_view message)> error_response;
  // Runs on the network thread before the handler of a matched route; a response refuses the request.
  std::function<std::optional<HttpResponse>(const HttpRequest&, const Route&)> gate;
  // Runs on the network thread when a response is over, one way or another.
  std::function<void(const RequestRecord&)> on_finished;
};

class HttpServer {
 public:
  // Binds and listens before it returns; the errors name the address.
  static base::Result<std::unique_ptr<HttpServer>> start(ServerOptions options, Router router);
  // stop(0)
  virtual ~HttpServer() = default;

  [[nodiscard]] virtual uint16_t port() const = 0;
  [[nodiscard]] virtual int connections() const = 0;
  // Stops accepting, lets responses under way end for at most `drain_ms`, then cuts the rest and joins the threads.
  virtual void stop(int drain_ms) = 0;
};

// True when `host` (a Host field's value) may be served on `bind`.
bool host_allowed(std::string_view host, std::string_view bind, const std::vector<std::string>& allowed);
bool is_loopback_address(std::string_view address);

}  // namespace concerto::net
