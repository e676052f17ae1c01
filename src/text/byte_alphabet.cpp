#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace concerto::text {
namespace {

constexpr int kLastCharacter = 0x143;  // 256 + 68 - 1: 68 bytes aren't printable

struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<int16_t, kLastCharacter + 1> byte{};
};

constexpr bool printable(int b) { return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD); }

constexpr Alphabet make_alphabet() {
  Alphabet a;
  for (auto& b : a.byte) b = -1;
  char32_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const char32_t c = printable(b) ? static_cast<char32_t>(b) : next++;
    a.character[static_cast<size_t>(b)] = c;
    a.byte[c] = static_cast<int16_t>(b);
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::optional<std::string> bytes_of_entry(std::string_view entry) {
  std::string bytes;
  bytes.reserve(entry.size());
  for (size_t i = 0; i < entry.size();) {
    const char32_t c = base::utf8_next(entry, &i);
    if (c > kLastCharacter || kAlphabet.byte[c] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte[c]));
  }
  return bytes;
}

std::string entry_of_bytes(std::string_view bytes) {
  std::string entry;
  for (const char b : bytes) base::utf8_append(&entry, kAlphabet.character[static_cast<unsigned char>(b)]);
  return entry;
}

}  // namespace concerto::text
