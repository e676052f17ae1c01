// KvCache: who holds which KV block, and which blocks are known prefixes that another request may share.
//
// A block is free, held (refs > 0), or kept (refs == 0 but indexed as a prefix: reusable until its memory is needed).
// A full block is indexed under (the block before it, its 64 tokens); the first one under (salt, its 64 tokens). That
// pair is compared whole, the hash only finds it: a collision can't hand out someone else's block. Sharing copies
// nothing, since full blocks are never written again, and changes no bit, since the model computes the same K and V
// for the same prefix whatever the batch. A block that agrees with a prompt in its first tokens only can be copied
// from; the unfull last block of a request is known for that alone.
//
// Kept blocks are evicted least recently used first. Holders release a chain from its end, so a child always stands
// before its parent in that order, and no indexed block ever loses its parent.
//
// Not thread-safe: belongs to the engine's thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernels/kernels.h"

namespace concerto::engine {

class KvCache {
 public:
  static constexpr int kNone = -1;
  using BlockTokens = std::span<const int32_t, kernels::kKvBlockTokens>;

  explicit KvCache(int blocks);

  [[nodiscard]] int total() const noexcept { return static_cast<int>(blocks_.size()); }
  [[nodiscard]] int free() const noexcept { return static_cast<int>(free_.size()); }
  [[nodiscard]] int kept() const noexcept { return kept_; }
  // Blocks that allocate() can hand out now.
  [[nodiscard]] int available() const noexcept { return free() + kept_; }
  [[nodiscard]] int refs(int block) const noexcept { return blocks_[static_cast<size_t>(block)].refs; }

  // A block nobody knows, held once; evicts the oldest kept block when none is free. CHECKs available() > 0.
  int allocate();
  // The indexed block that continues `parent` (kNone: starts a prompt of tenant `salt`) with `tokens`, or kNone.
  [[nodiscard]] int find(int parent, std::string_view salt, BlockTokens tokens) const;
  void acquire(int block);
  void release(int block);
  // Makes a held, completely computed block findable. CHECKs that no equal one is: find() first.
  void index(int block, int parent, std::string_view salt, BlockTokens tokens);

  // The same for a held block of fewer tokens, all computed, that is never written again; no use if an indexed one
  // begins with them. It is not findable, only find_part() knows it.
  void index_part(int block, int parent, std::string_view salt, std::span<const int32_t> tokens);
  // Of the indexed blocks that continue `parent`, one that agrees with `tokens` (at most a block's) the longest; count
  // 0 when none does.
  struct Part {
    int block = kNone;
    int count = 0;  // tokens from the block's start
  };
  [[nodiscard]] Part find_part(int parent, std::string_view salt, std::span<const int32_t> tokens) const;

  // Every invariant above, by counting: tests call it after each step.
  [[nodiscard]] bool consistent() const;

 private:
  struct Block {
    int refs = 0;
    bool indexed = false;
    int parent = kNone;
    int first_child = kNone;  // the newest indexed block that names this one as parent
    int next_sibling = kNone, previous_sibling = kNone;
    int count = 0;  // tokens; of one that is only a part, fewer than a block's
    uint64_t key = 0;
    std::string salt;  // of first blocks
    std::array<int32_t, kernels::kKvBlockTokens> tokens{};
    int older = kNone, newer = kNone;  // neighbours among the kept
  };

  void keep(int block);
  void unkeep(int block);
  void forget(int block);
  int& first_of(int parent) { return parent == kNone ? first_root_ : blocks_[static_cast<size_t>(parent)].first_child; }
  void attach(int block, int parent, std::string_view salt, std::span<const int32_t> tokens);

  std::vector<Block> blocks_;
  std::vector<int> free_;
  std::unordered_multimap<uint64_t, int> index_;
  int oldest_ = kNone, newest_ = kNone;
  int kept_ = 0;
  int first_root_ = kNone;
};

}  // namespace concerto::engine
