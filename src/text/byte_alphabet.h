// The alphabet in which byte-level BPE vocabularies are written: each byte as one printable character (GPT-2's
// bytes_to_unicode): '!'..'~', U+00A1..U+00AC, U+00AE..U+00FF are themselves, the others U+0100 + their rank.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace concerto::text {

// The bytes that a vocabulary entry stands for; none when it holds a character outside the alphabet.
std::optional<std::string> bytes_of_entry(std::string_view entry);

// The inverse: how the bytes are written in a vocabulary.
std::string entry_of_bytes(std::string_view bytes);

}  // namespace concerto::text
