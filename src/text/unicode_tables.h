// Unicode facts on which our libraries and Hugging Face `tokenizers` differ. Constant; made by
// tools/goldens/make_unicode_tables.py from the oracle itself, so that ids are equal on every code point.
#pragma once

#include <cstddef>
#include <cstdint>

namespace concerto::text {

struct CodeRange {
  char32_t first;
  char32_t last;
};

// Code points that PCRE2 10.42 (Unicode 14) classifies otherwise than the oracle (Unicode 16), each with an older one
// of the right general category and of the same length in UTF-8: a regex sees the stand-in instead.
struct StandIn {
  char32_t first;
  char32_t last;
  char32_t stand_in;
};
extern const StandIn kStandIns[];
extern const size_t kStandInsCount;

// What the pre-tokenizer `Digits` takes for a digit: categories Nd, Nl, No of Unicode 17.
extern const CodeRange kNumeric[];
extern const size_t kNumericCount;

// Code points that NFC changes, or that may combine or change places with what is before them (Unicode 9, which is what
// the oracle normalizes by). Text without any of them is in NFC already.
extern const CodeRange kNfcActive[];
extern const size_t kNfcActiveCount;

// Constant-time membership for a sorted table: one bit a page of 256 code points, then a binary search.
class CodeSet {
 public:
  CodeSet(const CodeRange* ranges, size_t count);
  [[nodiscard]] bool has(char32_t c) const noexcept;

 private:
  const CodeRange* ranges_;
  size_t count_;
  uint64_t pages_[0x1100 / 64] = {};
};

const CodeSet& numeric_set();
const CodeSet& nfc_active_set();
// The stand-in of c, or c itself.
char32_t stand_in_for(char32_t c) noexcept;

}  // namespace concerto::text
