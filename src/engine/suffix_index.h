// SuffixIndex: where in a growing sequence of tokens its own end occurred before.
//
// Chains as in LZ77 compressors: the positions at which the same kGram tokens end, latest first. A step of one token
// costs a few nanoseconds to insert, and a search at most kCandidates comparisons of up to kMaxLength tokens.
// Memory: 8 to 12 bytes a token. Belongs to one sequence; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace concerto::engine {

class SuffixIndex {
 public:
  static constexpr int kGram = 3;        // shorter repetitions are chance
  static constexpr int kMaxLength = 32;  // longer ones are certain enough
  static constexpr int kCandidates = 24;

  struct Match {
    int next = -1;   // the position behind the earlier occurrence; -1: there is none
    int length = 0;  // tokens that agree, up to kMaxLength
  };

  // tokens: those seen before, and perhaps more. Takes in the new ones.
  void extend(std::span<const int32_t> tokens);
  // The longest earlier occurrence of the end of `tokens`, the latest of equally long ones. After extend(tokens).
  [[nodiscard]] Match find(std::span<const int32_t> tokens) const;
  // How many tokens before `next` agree with the end of `tokens`.
  static int agreement(std::span<const int32_t> tokens, int next) noexcept;

 private:
  [[nodiscard]] size_t slot(const int32_t* end) const noexcept;  // of the kGram tokens before `end`
  void insert(std::span<const int32_t> tokens, int position);
  void grow(std::span<const int32_t> tokens);

  std::vector<int32_t> heads_;     // a power of two; the latest position whose kGram tokens fall into the slot, or -1
  std::vector<int32_t> previous_;  // per position: the one before it in its chain, or -1
};

}  // namespace concerto::engine
