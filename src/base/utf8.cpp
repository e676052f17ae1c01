#include "base/utf8.h"

namespace concerto::base {
namespace {

struct Step {
  size_t bytes;    // bytes consumed: the sequence, or the maximal invalid subpart
  char32_t point;  // the code point, valid only when status is kGood
  enum { kGood, kBad, kCut } status;
};

// Table 3-7 of the Unicode standard: which second bytes may follow a lead byte.
Step step(std::string_view s) noexcept {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, lead, Step::kGood};
  int need = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  char32_t point = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    need = 1;
    point = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    need = 2;
    point = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    need = 3;
    point = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, 0, Step::kBad};
  }
  for (int i = 1; i <= need; ++i) {
    if (static_cast<size_t>(i) >= s.size()) return {s.size(), 0, Step::kCut};
    if (byte(i) < low || byte(i) > high) return {static_cast<size_t>(i), 0, Step::kBad};
    point = (point << 6) | (byte(i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {static_cast<size_t>(need) + 1, point, Step::kGood};
}

}  // namespace

size_t utf8_valid_prefix(std::string_view text) noexcept {
  size_t at = 0;
  while (at < text.size()) {
    const Step s = step(text.substr(at));
    if (s.status != Step::kGood) break;
    at += s.bytes;
  }
  return at;
}

bool utf8_is_incomplete(std::string_view tail) noexcept { return !tail.empty() && step(tail).status == Step::kCut; }

char32_t utf8_next(std::string_view text, size_t* at) noexcept {
  const Step s = step(text.substr(*at));
  *at += s.status == Step::kGood ? s.bytes : 1;
  return s.status == Step::kGood ? s.point : U'\uFFFD';
}

void utf8_append(std::string* out, char32_t c) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (c >> 6)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (c >> 12)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (c >> 18)));
    out->push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

std::string utf8_replace_invalid(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Step s = step(text.substr(at));
    if (s.status == Step::kGood) {
      out.append(text.substr(at, s.bytes));
    } else {
      out.append("\xEF\xBF\xBD");
    }
    at += s.bytes;
  }
  return out;
}

}  // namespace concerto::base
