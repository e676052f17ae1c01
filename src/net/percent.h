// Percent-encoding of URLs and of header values that must be ASCII (RFC 3986, RFC 8187).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace concerto::net {

// nullopt when a '%' isn't followed by two hexadecimal digits. '+' stays as it is.
std::optional<std::string> percent_decode(std::string_view text);

// Keeps printable ASCII except '%'; every other byte becomes %XX. The result fits in a header field.
std::string percent_encode_header(std::string_view text);

}  // namespace concerto::net
