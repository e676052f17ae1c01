#include "api/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "api/endpoints/endpoints.h"
#include "api/error_map.h"

namespace concerto::api {
namespace {

using base::Code;
using base::fail;

constexpr size_t kMinKey = 8;
constexpr size_t kMaxKey = 256;

base::Status validate_keys(const char* name, const std::vector<std::string>& keys) {
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string& key = keys[i];
    const bool printable = std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; });
    if (key.size() < kMinKey || key.size() > kMaxKey || !printable) {
      return fail(Code::kInvalidArgument,
                  fmt::format("{}[{}]: expected {} to {} printable ASCII characters without spaces, found {} bytes",
                              name, i, kMinKey, kMaxKey, key.size()),
                  name);
    }
  }
  return {};
}

// "http://host:port" without the scheme, to compare with a Host field.
std::string_view authority_of(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view{} : origin.substr(scheme + 3);
}

class Server final : public ApiServer {
 public:
  Server(ApiOptions options, Service* service, const base::Clock& clock)
      : options_(std::move(options)),
        keys_(options_.api_keys, options_.admin_keys),
        metrics_(std::make_shared<Metrics>(clock)) {
    context_ = {service, metrics_, &clock, &options_.assets, [this] {
                  const net::HttpServer* live = live_.load();
                  return live == nullptr ? 0 : live->connections();
                }};
  }
  ~Server() override {
    if (http_) http_->stop(0);
  }

  base::Status listen() {
    net::Router router;
    for (const Endpoint& endpoint : all_endpoints()) {
      router.add({std::string(endpoint.method), std::string(endpoint.pattern),
                  [this, function = endpoint.function](net::HttpRequest&& request, net::Writer writer) {
                    function(context_, std::move(request), std::move(writer));
                  },
                  endpoint.run_on, static_cast<int>(endpoint.access)});
    }
    add_pages(context_, &router);
    net::ServerOptions http;
    http.bind = options_.bind;
    http.port = options_.port;
    http.network_threads = options_.network_threads;
    http.worker_threads = options_.worker_threads;
    http.limits = options_.limits;
    http.allowed_hosts = options_.allowed_hosts;
    http.error_response = [](int status, std::string_view code, std::string_view message) {
      return error_response(status, code, message);
    };
    http.gate = [this](const net::HttpRequest& request, const net::Route& route) { return gate(request, route); };
    http.on_finished = [this](const net::RequestRecord& record) {
      metrics_->count_http(record.method, record.pattern, record.status, record.seconds);
    };
    TRY(http_, net::HttpServer::start(std::move(http), std::move(router)));
    live_ = http_.get();
    return {};
  }

  [[nodiscard]] uint16_t port() const override { return http_->port(); }
  void stop(int drain_ms) override { http_->stop(drain_ms); }

 private:
  // Every route passes here: keys, and no state-changing request from a foreign page.
  [[nodiscard]] std::optional<net::HttpResponse> gate(const net::HttpRequest& request, const net::Route& route) const {
    if (request.method != "GET" && request.method != "HEAD") {
      const std::string* origin = request.headers.find("Origin");
      const std::string* host = request.headers.find("Host");
      const bool own =
          origin == nullptr || (host != nullptr && net::equals_ignoring_case(authority_of(*origin), *host));
      const auto& allowed = options_.allowed_origins;
      if (!own && std::find(allowed.begin(), allowed.end(), *origin) == allowed.end()) {
        return error_for(request,
                         {Code::kForbidden, "Origin: expected this server's own or one of allowed_origins", {}},
                         "origin_not_allowed");
      }
    }
    const std::string* authorization = request.headers.find("Authorization");
    const auto status = keys_.check(static_cast<Access>(route.access),
                                    authorization == nullptr ? std::string_view{} : std::string_view(*authorization));
    if (status) return std::nullopt;
    return error_for(request, status.error());
  }

  ApiOptions options_;
  Keys keys_;
  std::shared_ptr<Metrics> metrics_;
  Context context_;
  std::unique_ptr<net::HttpServer> http_;
  std::atomic<net::HttpServer*> live_{nullptr};  // http_, for requests that arrive while it is being set
};

}  // namespace

base::Status validate(const ApiOptions& options) {
  TRY_STATUS(validate_keys("api_keys", options.api_keys));
  TRY_STATUS(validate_keys("admin_keys", options.admin_keys));
  if (!net::is_loopback_address(options.bind) && options.api_keys.empty()) {
    return fail(
        Code::kInvalidArgument,
        fmt::format("bind: expected a loopback address or an API key, found '{}' without a key; others could use "
                    "this server freely",
                    options.bind),
        "bind");
  }
  return {};
}

base::Result<std::unique_ptr<ApiServer>> ApiServer::start(ApiOptions options, Service* service,
                                                          const base::Clock& clock) {
  TRY_STATUS(validate(options));
  auto server = std::make_unique<Server>(std::move(options), service, clock);
  if (auto status = server->listen(); !status) return tl::make_unexpected(status.error());
  return server;
}

}  // namespace concerto::api
