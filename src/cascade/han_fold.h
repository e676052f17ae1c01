// Folding: texts that look the same to a reader become the same code points. Pure functions, any thread.
//
// Compatibility decomposition (full-width, Kangxi radicals, circled and compatibility ideographs), case folding,
// combining marks and invisible characters dropped (zero-width joiners, soft hyphens, variation selectors, bidi marks),
// traditional Han to simplified for the characters of trade and law, white space to one space, and none at all between
// two Han characters. Not a normal form: good for comparing only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace concerto::cascade {

enum class Gap : uint8_t { kNone, kLine, kSpace };  // what white space was dropped before a Han character

struct FoldedText {
  std::u32string chars;
  // Both as long as `chars`, and one entry for the end.
  std::vector<uint32_t> source;  // byte of the original where the character comes from
  std::vector<Gap> gap;
};

// Bytes that are no UTF-8 become U+FFFD. Texts beyond 4 GiB are not looked at past there.
FoldedText fold(std::string_view text);

bool is_han(char32_t c) noexcept;
// Letters, digits and marks of scripts that separate words by spaces; '_' too.
bool is_word_char(char32_t c) noexcept;

}  // namespace concerto::cascade
