// HttpClient: requests to upstream tiers and model hubs. libcurl's multi interface on one thread of its own.
//
// start() may be called from any thread and returns at once. The handler's functions are called on the client's thread,
// in order: on_head once (unless the transfer fails before), on_body any number of times, on_done exactly once. They
// must not block. Redirects are never followed: a 3xx is a response like any other. TLS certificates are always
// verified. Only http and https. A cancelled token ends the transfer within about 20 ms, with kCancelled.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/cancel_token.h"
#include "base/result.h"
#include "net/http_types.h"

namespace concerto::net {

struct ClientRequest {
  std::string method = "POST";  // GET, HEAD or POST
  std::string url;
  HttpHeaders headers;  // Content-Type, Authorization, ...; values may not hold CR or LF
  std::string body;
  int connect_timeout_ms = 5'000;
  int total_timeout_ms = 0;      // 0: none
  int idle_timeout_ms = 60'000;  // no byte received for so long; 0: none
  size_t max_body_bytes = size_t{64} << 20;
  std::string ca_file;  // PEM; empty: the system's
};

struct ClientHead {
  int status = 0;
  HttpHeaders headers;
};

struct ClientHandler {
  std::function<void(const ClientHead&)> on_head;
  // false ends the transfer (on_done gets kCancelled).
  std::function<bool(std::string_view)> on_body;
  // Ok: the whole response arrived, whatever its status. Else kUnavailable (no connection, name not found, TLS
  // refused), kTimeout, kTooLarge, kUpstream (it broke the protocol or the connection), kCancelled, kInvalidArgument
  // (bad URL).
  std::function<void(base::Status)> on_done;
};

struct ClientResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;
};

class HttpClient {
 public:
  static base::Result<std::unique_ptr<HttpClient>> open();
  // Ends what is under way (on_done gets kCancelled), then joins the thread.
  virtual ~HttpClient() = default;

  virtual void start(ClientRequest request, ClientHandler handler, base::CancelToken cancel) = 0;

  // Waits for the whole response. Not on the client's own thread.
  base::Result<ClientResponse> fetch(ClientRequest request, base::CancelToken cancel = {});
};

}  // namespace concerto::net
