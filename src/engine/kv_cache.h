// KvCache: who holds which KV block, and which blocks are known prefixes that another request may share.
//
// A block is free, held (refs > 0), or kept (refs == 0 but indexed as a prefix: reusable until its memory is needed).
// A full block is indexed under (the block before it, its 64 tokens); the first one under (salt, its 64 tokens). That
// pair is compared whole, the hash only finds it: a collision can't hand out someone else's block. Sharing copies
// nothing, since full blocks are never written again, and changes no bit, since the model computes the same K and V
// for the same prefix whatever the batch.
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

  // Every invariant above, by counting: tests call it after each step.
  [[nodiscard]] bool consistent() const;

 private:
  struct Block {
    int refs = 0;
    bool indexed = false;
    int parent = kNone;
    int children = 0;  // indexed blocks that name this one as parent
    uint64_t key = 0;
    std::string salt;  // of first blocks
    std::array<int32_t, kernels::kKvBlockTokens> tokens{};
    int older = kNone, newer = kNone;  // neighbours among the kept
  };

  void keep(int block);
  void unkeep(int block);
  void forget(int block);

  std::vector<Block> blocks_;
  std::vector<int> free_;
  std::unordered_multimap<uint64_t, int> index_;
  int oldest_ = kNone, newest_ = kNone;
  int kept_ = 0;
};

}  // namespace concerto::engine
