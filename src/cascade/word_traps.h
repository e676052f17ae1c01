// WordTraps: whether a keyword found in running Chinese is that word, or two others that meet there (集合|同步).
// Immutable, thread-safe.
//
// A small segmenter over the few characters around the hit: the fewest pieces win, where a piece is a known word or a
// single character. It knows the words that end or begin inside a keyword (集合, 同步, 方法, 律动) and the words that
// take their other characters away again (市场|合同, 合同|样本). A hit is a trap only when the best segmentation
// without the keyword is strictly shorter than the best with it.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "cascade/han_fold.h"

namespace concerto::cascade {

class WordTraps {
 public:
  // The built-in words and `keywords` (folded), which count as words wherever else they stand.
  explicit WordTraps(const std::vector<std::u32string>& keywords);

  // chars [begin, end) of `text` are a keyword of Han characters.
  [[nodiscard]] bool is_trap(const FoldedText& text, size_t begin, size_t end) const;

 private:
  std::unordered_set<std::u32string> words_;
  size_t longest_ = 1;
};

}  // namespace concerto::cascade
