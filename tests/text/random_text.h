// The random texts of tools/goldens/make_tokenizer_goldens.py, and the hash its golden files hold: both must stay
// equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "base/utf8.h"

namespace concerto::text {

// FNV-1a over the ids, 32 bits, with the length of each list in front.
class IdHash {
 public:
  void add(const std::vector<int32_t>& ids) {
    word(static_cast<uint32_t>(ids.size()));
    for (const int32_t id : ids) word(static_cast<uint32_t>(id));
  }
  [[nodiscard]] uint32_t value() const { return value_; }

 private:
  void word(uint32_t w) {
    for (int i = 0; i < 4; ++i, w >>= 8) value_ = (value_ ^ (w & 0xFF)) * 0x01000193u;
  }
  uint32_t value_ = 0x811C9DC5u;
};

// xorshift64*, high half.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint32_t below(uint32_t n) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1DULL) >> 32) % n;
  }

 private:
  uint64_t state_;
};

inline std::string random_text(Random* random) {
  struct Part {
    char32_t first;
    char32_t last;
    const char* fixed;
  };
  static const Part kParts[] = {
      {0x20, 0x7E, nullptr},
      {0x61, 0x7A, nullptr},
      {0x30, 0x39, nullptr},
      {0x4E00, 0x9FA5, nullptr},
      {0x4E00, 0x9FA5, nullptr},
      {0xC0, 0x17F, nullptr},
      {0x300, 0x36F, nullptr},
      {0x1F300, 0x1F64F, nullptr},
      {0x3040, 0x30FF, nullptr},
      {0x370, 0x5FF, nullptr},
      {0x600, 0xDFF, nullptr},
      {0xE00, 0x1FFF, nullptr},
      {0x1100, 0x11FF, nullptr},
      {0xAC00, 0xD7A3, nullptr},
      {0x2000, 0x2BFF, nullptr},
      {0xF900, 0xFFFD, nullptr},
      {0x10000, 0x1FFFF, nullptr},
      {0x20000, 0x2FFFF, nullptr},
      {0x0, 0x10FFFF, nullptr},
      {0, 0, " "},
      {0, 0, " "},
      {0, 0, "  "},
      {0, 0, "\n"},
      {0, 0, "\r\n"},
      {0, 0, "\t"},
      {0, 0, "'s"},
      {0, 0, "'LL "},
      {0, 0, "<|im_end|>"},
      {0, 0, "<|im_start|>"},
      {0, 0, "    "},
      {0, 0, "的"},
      {0, 0, "the"},
      {0, 0, "1"},
  };
  std::string out;
  const uint32_t parts = 1 + random->below(24);
  for (uint32_t i = 0; i < parts; ++i) {
    const Part& part = kParts[random->below(std::size(kParts))];
    const uint32_t repeats = 1 + random->below(4);
    for (uint32_t r = 0; r < repeats; ++r) {
      if (part.fixed != nullptr) {
        out += part.fixed;
        continue;
      }
      const char32_t point = part.first + random->below(part.last - part.first + 1);
      base::utf8_append(&out, point >= 0xD800 && point < 0xE000 ? 0xFFFD : point);
    }
  }
  return out;
}

}  // namespace concerto::text
