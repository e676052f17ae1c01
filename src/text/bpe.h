// Bpe: byte-pair encoding of one piece of text by ranked merges, as Hugging Face `tokenizers` does it: of all
// neighbouring pairs the one of the lowest rank is merged first, of equal ranks the leftmost. Immutable; thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace concerto::text {

// Token bytes -> id. Open addressing over strings that live elsewhere (in the owner's arena).
class TokenMap {
 public:
  void reserve(size_t count);
  // Later entries win, as in a JSON object.
  void insert(std::string_view bytes, int32_t id);
  [[nodiscard]] int32_t find(std::string_view bytes) const noexcept;  // -1 when absent

 private:
  struct Slot {
    std::string_view bytes;
    int32_t id = -1;
  };
  void grow();
  std::vector<Slot> slots_;
  size_t used_ = 0;
};

// A pair of ids -> what they merge to and how early.
class MergeMap {
 public:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  void reserve(size_t count);
  void insert(int32_t left, int32_t right, Merge merge);                 // the first of equal pairs wins
  [[nodiscard]] Merge find(int32_t left, int32_t right) const noexcept;  // rank kNone when absent

 private:
  struct Slot {
    uint64_t pair = ~uint64_t{0};
    Merge merge{kNone, -1};
  };
  std::vector<Slot> slots_;
};

class Bpe {
 public:
  struct Options {
    bool ignore_merges = false;  // a piece that is a token as a whole is that token, whatever the merges say
    int32_t unknown = -1;        // id for bytes without a token; -1: they are dropped
  };
  // tokens: (bytes, id) of the vocabulary; the bytes outlive the Bpe. merges: both halves, in order of rank.
  // where: names the file and key in errors. kCorrupt: a merge whose halves or result aren't tokens.
  static base::Result<std::unique_ptr<Bpe>> make(const std::vector<std::pair<std::string_view, int32_t>>& tokens,
                                                 const std::vector<std::pair<std::string, std::string>>& merges,
                                                 int32_t id_count, Options options, const std::string& where);

  // Appends the ids of `piece` to *out. O(n log n) in its length.
  void encode(std::string_view piece, std::vector<int32_t>* out) const;

  [[nodiscard]] int32_t find(std::string_view bytes) const noexcept { return tokens_.find(bytes); }

 private:
  Bpe() = default;
  void merge_all(std::string_view piece, std::vector<int32_t>* out) const;
  void merge_short(std::vector<int32_t>* symbols) const;
  void merge_long(std::vector<int32_t>* symbols) const;

  TokenMap tokens_;
  MergeMap merges_;
  int32_t byte_ids_[256] = {};
  Options options_;
  // What encode() found out about each token's own bytes: whether they encode to just that token. Relaxed atomics:
  // every thread that works it out stores the same value.
  enum : uint8_t { kUntried = 0, kWhole = 1, kParts = 2 };
  mutable std::vector<std::atomic<uint8_t>> whole_;
};

}  // namespace concerto::text
