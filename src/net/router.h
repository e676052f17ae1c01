// Router: which handler answers a method and a path. Filled before the server starts, read-only and thread-safe after.
//
// A pattern is literal segments and {name} for one segment: "/v1/cases/{id}/answer". A last {name*} takes the rest,
// slashes included: "/v1/models/{id*}". Literal segments win over {}. HEAD is answered by the GET route.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_message.h"
#include "net/response_writer.h"

namespace concerto::net {

using Handler = std::function<void(HttpRequest&&, Writer)>;

// Where a handler runs. The network thread serves every connection: only what takes microseconds may run there.
enum class RunOn { kNetwork, kWorker };

struct Route {
  std::string method;
  std::string pattern;
  Handler handler;
  RunOn run_on = RunOn::kNetwork;
  int access = 0;  // means what the server's gate makes of it
};

class Router {
 public:
  void add(Route route);

  struct Match {
    const Route* route = nullptr;  // nullptr: no route, or not for this method
    std::vector<std::string> params;
    std::string allow;          // "GET, HEAD, OPTIONS": methods of that path; empty: no such path
    bool bad_encoding = false;  // the path's percent-encoding is broken
  };
  [[nodiscard]] Match match(std::string_view method, std::string_view path) const;
  [[nodiscard]] const std::vector<Route>& routes() const noexcept { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace concerto::net
