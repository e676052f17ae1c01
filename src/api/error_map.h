// The one table that turns a Code into an HTTP status and an OpenAI error body.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_message.h"

namespace concerto::api {

struct ErrorKind {
  int status;
  std::string_view type;  // "invalid_request_error", ...
  std::string_view code;  // "model_not_found", "context_length_exceeded", ...
};

ErrorKind error_kind(base::Code code) noexcept;

// {"error": {"message", "type", "param", "code"}}; param is null when empty.
std::string error_body(std::string_view message, std::string_view type, std::string_view param, std::string_view code);
std::string error_body(const base::Error& error);

// The whole response: status, body, and Retry-After or WWW-Authenticate where they belong. `code` replaces the table's.
net::HttpResponse error_response(const base::Error& error, std::string_view code = {});
// For errors that are HTTP's own: the type follows from the status.
net::HttpResponse error_response(int status, std::string_view code, std::string_view message);

}  // namespace concerto::api
