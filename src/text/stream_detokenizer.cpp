#include "text/stream_detokenizer.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace concerto::text {

std::string StreamDetokenizer::feed(std::string_view bytes) {
  held_.append(bytes);
  // At most one of these tails can be the beginning of a character: it starts with a lead byte and has no other.
  size_t keep = 0;
  for (size_t n = 1; n <= std::min<size_t>(3, held_.size()); ++n) {
    if (base::utf8_is_incomplete(std::string_view(held_).substr(held_.size() - n))) keep = n;
  }
  const size_t give = held_.size() - keep;
  std::string text = base::utf8_replace_invalid(std::string_view(held_).substr(0, give));
  held_.erase(0, give);
  return text;
}

std::string StreamDetokenizer::finish() { return base::utf8_replace_invalid(std::exchange(held_, {})); }

}  // namespace concerto::text
