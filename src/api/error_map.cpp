#include "api/error_map.h"

#include "api/wire/responses.h"

namespace concerto::api {

using base::Code;

ErrorKind error_kind(Code code) noexcept {
  switch (code) {
    case Code::kInvalidArgument:
      return {400, "invalid_request_error", "invalid_value"};
    case Code::kNotFound:
      return {404, "invalid_request_error", "not_found"};
    // 400, not 501: clients retry a 5xx, and the same request will never work.
    case Code::kUnsupported:
      return {400, "invalid_request_error", "unsupported_capability"};
    case Code::kContextLength:
      return {400, "invalid_request_error", "context_length_exceeded"};
    case Code::kBusy:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case Code::kUnauthorized:
      return {401, "authentication_error", "invalid_api_key"};
    case Code::kForbidden:
      return {403, "permission_error", "forbidden"};
    case Code::kTooLarge:
      return {413, "invalid_request_error", "too_large"};
    case Code::kConflict:
      return {409, "invalid_request_error", "conflict"};
    case Code::kCancelled:
      return {499, "invalid_request_error", "cancelled"};
    case Code::kTimeout:
      return {504, "timeout_error", "timeout"};
    case Code::kUnavailable:
      return {503, "unavailable_error", "unavailable"};
    case Code::kOutOfMemory:
      return {503, "unavailable_error", "out_of_memory"};
    case Code::kUpstream:
      return {502, "upstream_error", "upstream_error"};
    case Code::kCorrupt:
      return {500, "server_error", "corrupt"};
    case Code::kIo:
      return {500, "server_error", "io_error"};
    case Code::kInternal:
      return {500, "server_error", "internal_error"};
  }
  return {500, "server_error", "internal_error"};
}

std::string error_body(const base::Error& error) {
  const ErrorKind kind = error_kind(error.code);
  return error_body(error.message, kind.type, error.param, kind.code);
}

namespace {

net::HttpResponse finish(int status, std::string body) {
  net::HttpResponse response{status, {{"Content-Type", "application/json"}}, std::move(body)};
  if (status == 429 || status == 503) response.headers.add("Retry-After", "1");
  if (status == 401) response.headers.add("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace

net::HttpResponse error_response(const base::Error& error, std::string_view code) {
  const ErrorKind kind = error_kind(error.code);
  return finish(kind.status, error_body(error.message, kind.type, error.param, code.empty() ? kind.code : code));
}

net::HttpResponse error_response(int status, std::string_view code, std::string_view message) {
  std::string_view type = status >= 500 ? "server_error" : "invalid_request_error";
  if (status == 401) type = "authentication_error";
  if (status == 403) type = "permission_error";
  if (status == 503) type = "unavailable_error";
  return finish(status, error_body(message, type, "", code));
}

}  // namespace concerto::api
