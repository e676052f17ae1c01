// A request as the server hands it on and a response as it takes it back.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http_types.h"

namespace concerto::net {

struct HttpRequest {
  std::string method;  // upper case as received
  std::string path;    // of the target, percent-encoded as received
  std::string query;   // without '?', as received
  HttpHeaders headers;
  std::string body;
  std::string remote;               // the peer's IP address
  std::vector<std::string> params;  // what the route's {...} matched, percent-decoded, in order
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;  // Content-Length, Connection and Date are the server's own business
  std::string body;
};

}  // namespace concerto::net
