// UTF-8: validation and decoding that never read past the end and never throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace concerto::base {

// Length of the longest prefix of `text` that is valid UTF-8 (RFC 3629: no surrogates, no overlong forms, <= U+10FFFF).
// Equal to text.size() when all of it is valid.
size_t utf8_valid_prefix(std::string_view text) noexcept;

// True when `tail` could become valid by appending bytes: a strict prefix of one well-formed sequence (1..3 bytes).
bool utf8_is_incomplete(std::string_view tail) noexcept;

// Decodes the code point at text[*at] and moves *at behind it. An invalid byte yields 0xFFFD and moves by one.
char32_t utf8_next(std::string_view text, size_t* at) noexcept;

void utf8_append(std::string* out, char32_t code_point);

// Replaces each invalid byte sequence by U+FFFD (maximal subparts, as browsers and Python's errors="replace" do).
std::string utf8_replace_invalid(std::string_view text);

}  // namespace concerto::base
