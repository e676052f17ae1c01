// get(): one GET that follows redirects, and what came of it. A secret goes to the origin it was meant for and to no
// other: the Authorization field is dropped for good when a redirect leaves that origin. From https to http is refused.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/cancel_token.h"
#include "base/result.h"
#include "net/http_client.h"

namespace concerto::fetch {

struct GetRequest {
  std::string url;
  net::HttpHeaders headers;
  std::string authorization;  // for the origin of `url` only; may be empty
  int connect_timeout_ms = 15'000;
  int stall_ms = 30'000;  // no byte for so long: kTimeout
  std::string ca_file;
};

// Called on the client's thread. An error ends the transfer, and is what get() returns.
struct GetHandler {
  std::function<base::Status(const net::ClientHead&)> on_head;  // of the last response, not of redirects
  std::function<base::Status(std::string_view)> on_body;
};

struct GetEnd {
  std::string url;  // after redirects
  int status = 0;
  net::HttpHeaders headers;
  // A hub's own word, on its first response, for the SHA-256 of a file that it redirects to a store; else empty.
  std::string linked_sha256;
};

// Waits for the end. Any status that isn't a redirect is an end; codes as HttpClient's, kUpstream for a redirect that
// leads nowhere.
base::Result<GetEnd> get(net::HttpClient& client, const GetRequest& request, const GetHandler& handler,
                         const base::CancelToken& cancel);

// Whether another attempt may succeed where this one did not.
bool worth_retrying(int status) noexcept;
bool worth_retrying(base::Code code) noexcept;

}  // namespace concerto::fetch
