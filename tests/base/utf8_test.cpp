// UTF-8 against a second reading of RFC 3629, on every code point and on every string of a few telling bytes.
#include "base/utf8.h"

#include <gtest/gtest.h>

#include <vector>

namespace concerto::base {
namespace {

// RFC 3629, section 4, as its grammar lists it: first byte, then the ranges of the others.
struct Form {
  unsigned char first_low, first_high, second_low, second_high;
  size_t bytes;
};
constexpr Form kForms[] = {
    {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
    {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
    {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

// How many bytes of `text` match the form that its first byte begins, and how many that form needs (0: none begins so).
std::pair<size_t, size_t> matched(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (const Form& f : kForms) {
    if (byte(0) < f.first_low || byte(0) > f.first_high) continue;
    size_t n = 1;
    if (f.bytes > 1 && text.size() > 1 && byte(1) >= f.second_low && byte(1) <= f.second_high) {
      n = 2;
      while (n < f.bytes && n < text.size() && byte(n) >= 0x80 && byte(n) <= 0xBF) ++n;
    }
    return {n, f.bytes};
  }
  return {0, 0};
}

size_t reference_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto [have, need] = matched(text.substr(at));
    if (need == 0 || have < need) break;
    at += need;
  }
  return at;
}

std::string reference_replace(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto [have, need] = matched(text.substr(at));
    if (need != 0 && have == need) {
      out += text.substr(at, need);
    } else {
      out += "\xEF\xBF\xBD";
    }
    at += have == 0 ? 1 : have;
  }
  return out;
}

TEST(Utf8, EveryCodePointComesBack) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    utf8_append(&text, c);
    size_t at = 0;
    ASSERT_EQ(utf8_next(text, &at), c);
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(utf8_valid_prefix(text), text.size());
    ASSERT_FALSE(utf8_is_incomplete(text)) << static_cast<uint32_t>(c);
    for (size_t n = 1; n < text.size(); ++n) {
      ASSERT_TRUE(utf8_is_incomplete(std::string_view(text).substr(0, n)));
      ASSERT_EQ(utf8_valid_prefix(std::string_view(text).substr(0, n)), 0U);
    }
  }
}

// The bytes at which the grammar turns, in every string of up to five of them.
TEST(Utf8, AgreesWithTheGrammarOnHostileBytes) {
  constexpr unsigned char kBytes[] = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2,
                                      0xDF, 0xE0, 0xE4, 0xED, 0xEF, 0xF0, 0xF3, 0xF4, 0xF5, 0xFF};
  constexpr size_t kCount = std::size(kBytes);
  for (size_t length = 1; length <= 4; ++length) {
    std::vector<size_t> pick(length, 0);
    for (bool more = true; more;) {
      std::string text;
      for (const size_t i : pick) text.push_back(static_cast<char>(kBytes[i]));
      ASSERT_EQ(utf8_valid_prefix(text), reference_prefix(text)) << ::testing::PrintToString(text);
      ASSERT_EQ(utf8_replace_invalid(text), reference_replace(text)) << ::testing::PrintToString(text);
      more = false;
      for (size_t i = 0; i < length && !more; ++i) {
        pick[i] = (pick[i] + 1) % kCount;
        more = pick[i] != 0;
      }
    }
  }
}

TEST(Utf8, AnInvalidByteMovesByOne) {
  const std::string text =
      "\xFF"
      "a\xE4\xB8"
      "b";
  size_t at = 0;
  std::vector<char32_t> points;
  while (at < text.size()) points.push_back(utf8_next(text, &at));
  EXPECT_EQ(points, (std::vector<char32_t>{0xFFFD, 'a', 0xFFFD, 0xFFFD, 'b'}));
}

}  // namespace
}  // namespace concerto::base
