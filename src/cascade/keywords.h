// Keywords: finds words that send a request past the first tier. Immutable, thread-safe.
//
// Texts and keywords are folded first (han_fold.h), so that full-width, traditional, upper-case and zero-width variants
// are the same. A keyword of letters matches whole words only. Chinese has no spaces: 合同 inside of 集合同步 is no
// contract, so a hit counts unless the characters around it segment better without it (word_traps.h); in doubt it
// counts, for a rule may only tighten. Negation is not looked at: 与合同无关 fires.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "cascade/han_fold.h"
#include "cascade/word_traps.h"

namespace concerto::cascade {

struct KeywordHit {
  std::string keyword;  // as configured
  size_t begin = 0;     // bytes of the text that was searched
  size_t end = 0;
};

class KeywordMatcher {
 public:
  // exceptions: phrases within which a keyword does not count, besides the built-in word traps.
  // kInvalidArgument: a keyword or exception that is empty once folded, or is no UTF-8.
  static base::Result<KeywordMatcher> create(const std::vector<std::string>& keywords,
                                             const std::vector<std::string>& exceptions);

  // The first hit that counts; of several that begin there, the longest.
  [[nodiscard]] std::optional<KeywordHit> find(std::string_view text) const;

 private:
  struct Word {
    std::string shown;
    std::u32string folded;
  };
  explicit KeywordMatcher(std::vector<Word> words);
  [[nodiscard]] bool stands_alone(const FoldedText& text, size_t begin, size_t end) const;
  [[nodiscard]] bool is_excepted(const std::u32string& text, size_t begin, size_t end) const;

  std::vector<Word> words_;  // longest first
  std::vector<std::u32string> exceptions_;
  std::unordered_map<char32_t, std::vector<size_t>> by_first_;  // indexes of words_
  WordTraps traps_;
};

}  // namespace concerto::cascade
