// printable(): a name from a file made fit for an error message: valid UTF-8, no control characters, not long.
#pragma once

#include <string>
#include <string_view>

namespace concerto::formats {

// Longer text is cut to about 100 bytes and ends in "...". Control characters and invalid bytes become U+FFFD.
std::string printable(std::string_view text);

}  // namespace concerto::formats
