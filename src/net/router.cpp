#include "net/router.h"

#include <algorithm>
#include <optional>

#include "net/percent.h"

namespace concerto::net {
namespace {

std::string_view next_segment(std::string_view* rest) {
  const size_t slash = rest->find('/');
  const std::string_view segment = rest->substr(0, slash);
  *rest = slash == std::string_view::npos ? std::string_view{} : rest->substr(slash + 1);
  return segment;
}

bool is_param(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// The texts that the {} of `pattern` match in `path`, still encoded; nullopt when it doesn't match.
std::optional<std::vector<std::string_view>> matches(std::string_view pattern, std::string_view path) {
  if (path.empty() || path.front() != '/') return std::nullopt;
  pattern.remove_prefix(1);
  path.remove_prefix(1);
  std::vector<std::string_view> params;
  for (;;) {
    const bool pattern_last = pattern.find('/') == std::string_view::npos;
    const bool path_last = path.find('/') == std::string_view::npos;
    if (pattern_last && is_param(pattern) && pattern[pattern.size() - 2] == '*') {
      if (path.empty()) return std::nullopt;
      params.push_back(path);
      return params;
    }
    const std::string_view want = next_segment(&pattern);
    const std::string_view have = next_segment(&path);
    if (is_param(want)) {
      if (have.empty()) return std::nullopt;
      params.push_back(have);
    } else if (want != have) {
      return std::nullopt;
    }
    if (pattern_last != path_last) return std::nullopt;
    if (pattern_last) return params;
  }
}

}  // namespace

void Router::add(Route route) { routes_.push_back(std::move(route)); }

Router::Match Router::match(std::string_view method, std::string_view path) const {
  Match best;
  size_t fewest = SIZE_MAX;
  std::vector<std::string_view> methods;
  for (const Route& route : routes_) {
    const auto params = matches(route.pattern, path);
    if (!params) continue;
    methods.emplace_back(route.method);
    const bool fits = route.method == method || (method == "HEAD" && route.method == "GET");
    if (!fits || params->size() >= fewest) continue;
    fewest = params->size();
    best.route = &route;
    best.params.clear();
    for (const std::string_view param : *params) {
      auto text = percent_decode(param);
      best.bad_encoding = !text;
      if (!text) break;
      best.params.push_back(std::move(*text));
    }
  }
  if (methods.empty()) return best;
  if (std::find(methods.begin(), methods.end(), "GET") != methods.end()) methods.emplace_back("HEAD");
  methods.emplace_back("OPTIONS");
  for (const std::string_view name : methods) {
    if (!best.allow.empty()) best.allow += ", ";
    best.allow += name;
  }
  return best;
}

}  // namespace concerto::net
