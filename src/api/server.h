// ApiServer: the HTTP API over a Service. Starts the network threads, owns routes, keys and metrics.
//
// The Service must outlive it. stop() from any thread but the server's own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/service.h"
#include "api/static_assets.h"
#include "base/clock.h"
#include "base/result.h"
#include "net/http_server.h"

namespace concerto::api {

struct ApiOptions {
  std::string bind = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one
  int network_threads = 1;
  int worker_threads = 2;  // parse requests and start chats
  net::ServerLimits limits;
  std::vector<std::string> allowed_hosts;    // Host fields besides loopback ones
  std::vector<std::string> allowed_origins;  // Origin fields besides the server's own: "https://chat.example"
  std::vector<std::string> api_keys;         // empty: no key needed (loopback binds only)
  std::vector<std::string> admin_keys;       // needed to answer cases
  StaticAssets assets;                       // empty: no pages
};

// What must hold before anything listens: keys for a bind that others can reach, keys of a form that a header can
// carry.
base::Status validate(const ApiOptions& options);

class ApiServer {
 public:
  static base::Result<std::unique_ptr<ApiServer>> start(ApiOptions options, Service* service,
                                                        const base::Clock& clock = base::system_clock());
  virtual ~ApiServer() = default;  // stop(0)

  [[nodiscard]] virtual uint16_t port() const = 0;
  // Stops accepting, lets answers under way end for at most `drain_ms`, cuts the rest.
  virtual void stop(int drain_ms) = 0;
};

}  // namespace concerto::api
