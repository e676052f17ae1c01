#include "formats/printable.h"

#include "base/utf8.h"

namespace concerto::formats {

std::string printable(std::string_view text) {
  constexpr size_t kMaxBytes = 100;
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (at >= kMaxBytes) return out + "...";
    const char32_t c = base::utf8_next(text, &at);
    const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0);
    base::utf8_append(&out, control ? U'\uFFFD' : c);
  }
  return out;
}

}  // namespace concerto::formats
