// StreamDetokenizer: turns the bytes of tokens, as they come, into whole UTF-8 characters. One per stream; not
// thread-safe.
//
// A token may end in the middle of a character: what may still become one is held back (at most 3 bytes); what can't is
// replaced by U+FFFD. All results joined equal base::utf8_replace_invalid of all bytes, however they were cut.
#pragma once

#include <string>
#include <string_view>

namespace concerto::text {

class StreamDetokenizer {
 public:
  // The text that is certain after these bytes; may be empty.
  std::string feed(std::string_view bytes);
  // The end: U+FFFD for what was held back. The object is as new afterwards.
  std::string finish();

 private:
  std::string held_;
};

}  // namespace concerto::text
