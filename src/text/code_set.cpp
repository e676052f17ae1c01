#include <algorithm>

#include "text/unicode_tables.h"

namespace concerto::text {

CodeSet::CodeSet(const CodeRange* ranges, size_t count) : ranges_(ranges), count_(count) {
  for (size_t i = 0; i < count; ++i) {
    for (char32_t page = ranges[i].first >> 8; page <= ranges[i].last >> 8; ++page) {
      pages_[page / 64] |= uint64_t{1} << (page % 64);
    }
  }
}

bool CodeSet::has(char32_t c) const noexcept {
  const char32_t page = c >> 8;
  if (page >= 0x1100 || ((pages_[page / 64] >> (page % 64)) & 1) == 0) return false;
  const CodeRange* end = ranges_ + count_;
  const CodeRange* at = std::upper_bound(ranges_, end, c, [](char32_t v, const CodeRange& r) { return v < r.first; });
  return at != ranges_ && c <= (at - 1)->last;
}

const CodeSet& numeric_set() {
  static const CodeSet set(kNumeric, kNumericCount);
  return set;
}

const CodeSet& nfc_active_set() {
  static const CodeSet set(kNfcActive, kNfcActiveCount);
  return set;
}

char32_t stand_in_for(char32_t c) noexcept {
  struct Pages {
    uint64_t bits[0x1100 / 64] = {};
    Pages() {
      for (size_t i = 0; i < kStandInsCount; ++i) {
        for (char32_t page = kStandIns[i].first >> 8; page <= kStandIns[i].last >> 8; ++page) {
          bits[page / 64] |= uint64_t{1} << (page % 64);
        }
      }
    }
  };
  static const Pages pages;
  const char32_t page = c >> 8;
  if (page >= 0x1100 || ((pages.bits[page / 64] >> (page % 64)) & 1) == 0) return c;
  const StandIn* end = kStandIns + kStandInsCount;
  const StandIn* at = std::upper_bound(kStandIns, end, c, [](char32_t v, const StandIn& r) { return v < r.first; });
  return at != kStandIns && c <= (at - 1)->last ? (at - 1)->stand_in : c;
}

}  // namespace concerto::text
