// StopMatcher: finds stop strings in a stream of text, also across the places where it was cut. One per stream; not
// thread-safe.
//
// The stream stops where the first stop string is complete; if several end there, the longest counts. The stop string
// and everything behind it is not given out. Text that may be the beginning of a stop string is held back; everything
// else comes out at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace concerto::text {

class StopMatcher {
 public:
  struct Step {
    std::string text;      // safe to show
    bool stopped = false;  // a stop string was found, in this call or before
  };

  // Empty strings are ignored.
  explicit StopMatcher(const std::vector<std::string>& stops);

  Step feed(std::string_view text);
  // The stream ended by itself: what was held back after all. Empty when stopped.
  std::string finish();
  // The index of the stop string that was found, or -1.
  [[nodiscard]] int matched() const noexcept { return matched_; }

 private:
  // Aho-Corasick: a trie whose nodes know the longest other prefix that ends like them.
  struct Node {
    int32_t child = 0;    // first child, 0: none
    int32_t sibling = 0;  // next child of the same parent
    int32_t fall = 0;     // the longest proper suffix that is in the trie
    int32_t depth = 0;
    int32_t stop = -1;  // the longest stop string that ends here
    unsigned char byte = 0;
  };
  [[nodiscard]] int32_t child_of(int32_t node, unsigned char byte) const noexcept;
  [[nodiscard]] int32_t step(int32_t node, unsigned char byte) const noexcept;

  std::vector<Node> nodes_;
  std::vector<size_t> lengths_;  // of the stop strings
  std::string held_;             // equals the path to state_
  int32_t state_ = 0;
  int matched_ = -1;
};

}  // namespace concerto::text
