// Which Host fields a server answers to. A page of a foreign site can make a browser send requests to a loopback
// address under the site's own name (DNS rebinding); its Host field gives it away.
#include <algorithm>

#include "net/http_server.h"

namespace concerto::net {
namespace {

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_ipv4_loopback(std::string_view text) {
  if (!text.starts_with("127.")) return false;
  int dots = 0;
  int value = 0;
  int digits = 0;
  for (const char c : text) {
    if (c == '.') {
      if (digits == 0) return false;
      ++dots;
      value = digits = 0;
    } else if (c >= '0' && c <= '9' && digits < 3) {
      value = value * 10 + (c - '0');
      ++digits;
    } else {
      return false;
    }
    if (value > 255) return false;
  }
  return dots == 3 && digits > 0;
}

}  // namespace

bool is_loopback_address(std::string_view address) {
  return address == "localhost" || address == "::1" || address == "[::1]" || is_ipv4_loopback(address);
}

bool host_allowed(std::string_view host, std::string_view bind, const std::vector<std::string>& allowed) {
  const bool loopback = is_loopback_address(bind);
  if (!loopback && allowed.empty()) return true;
  std::string_view name = without_port(host);
  if (name.ends_with('.')) name.remove_suffix(1);
  const auto is_name = [&](const std::string& other) { return equals_ignoring_case(name, other); };
  if (std::any_of(allowed.begin(), allowed.end(), is_name)) return true;
  if (equals_ignoring_case(name, "localhost") || is_loopback_address(name)) return true;
  const std::string_view local = ".localhost";
  return name.size() > local.size() && equals_ignoring_case(name.substr(name.size() - local.size()), local);
}

}  // namespace concerto::net
