#include "fetch/get.h"

#include <fmt/format.h>

#include <future>
#include <limits>

#include "fetch/digest.h"
#include "fetch/url.h"

namespace concerto::fetch {
namespace {

using base::Code;

constexpr int kMaxRedirects = 10;

bool is_redirect(int status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// "\"abc\"" or "W/\"abc\"" -> abc.
std::string unquoted(std::string_view tag) {
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') tag = tag.substr(1, tag.size() - 2);
  return std::string(tag);
}

struct Hop {
  net::ClientHead head;
  base::Status wish;  // an error of the handler's functions
};

base::Result<Hop> one_hop(net::HttpClient& client, net::ClientRequest request, const GetHandler& handler,
                          const base::CancelToken& cancel) {
  Hop hop;
  std::promise<base::Status> over;
  net::ClientHandler on;
  on.on_head = [&](const net::ClientHead& head) {
    hop.head = head;
    if (!is_redirect(head.status) && handler.on_head) hop.wish = handler.on_head(head);
  };
  on.on_body = [&](std::string_view bytes) {
    if (is_redirect(hop.head.status)) return true;
    if (hop.wish && handler.on_body) hop.wish = handler.on_body(bytes);
    return hop.wish.has_value();
  };
  on.on_done = [&](base::Status status) { over.set_value(std::move(status)); };
  client.start(std::move(request), std::move(on), cancel);
  base::Status status = over.get_future().get();
  if (!hop.wish) return tl::make_unexpected(hop.wish.error());
  if (!status) return tl::make_unexpected(status.error());
  return hop;
}

}  // namespace

base::Result<GetEnd> get(net::HttpClient& client, const GetRequest& request, const GetHandler& handler,
                         const base::CancelToken& cancel) {
  GetEnd end;
  TRY(end.url, resolve_link(request.url, request.url));  // the scheme in lower case
  std::string authorization = request.authorization;
  const std::string home = origin_of(request.url);
  for (int hops = 0;; ++hops) {
    net::ClientRequest one;
    one.method = "GET";
    one.url = end.url;
    one.headers = request.headers;
    if (!authorization.empty()) one.headers.set("Authorization", authorization);
    one.headers.set("User-Agent", "concerto");
    one.connect_timeout_ms = request.connect_timeout_ms;
    one.idle_timeout_ms = request.stall_ms;
    one.max_body_bytes = std::numeric_limits<size_t>::max();
    one.ca_file = request.ca_file;
    TRY(Hop hop, one_hop(client, std::move(one), handler, cancel));
    if (origin_of(end.url) == home) {
      if (const std::string* tag = hop.head.headers.find("X-Linked-Etag")) {
        if (std::string hex = unquoted(*tag); is_checksum(hex, ChecksumKind::kSha256)) end.linked_sha256 = hex;
      }
    }
    if (!is_redirect(hop.head.status)) {
      end.status = hop.head.status;
      end.headers = std::move(hop.head.headers);
      return end;
    }
    const std::string* location = hop.head.headers.find("Location");
    if (location == nullptr || hops == kMaxRedirects) {
      return base::fail(Code::kCorrupt, fmt::format("{}: expected {}, found {}", shown_url(end.url),
                                                    location == nullptr ? "a redirect with a Location"
                                                                        : fmt::format("at most {} redirects", hops),
                                                    location == nullptr ? "none" : "one more"));
    }
    TRY(std::string next, resolve_link(end.url, *location));
    if (end.url.starts_with("https:") && !next.starts_with("https:")) {
      return base::fail(Code::kForbidden, fmt::format("{}: expected a redirect that stays on https, found {}",
                                                      shown_url(end.url), shown_url(next)));
    }
    if (origin_of(next) != home) authorization.clear();
    end.url = std::move(next);
  }
}

bool worth_retrying(int status) noexcept {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool worth_retrying(Code code) noexcept {
  return code == Code::kTimeout || code == Code::kUnavailable || code == Code::kUpstream;
}

}  // namespace concerto::fetch
