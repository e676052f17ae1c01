#include "engine/kv_cache.h"

#include <algorithm>

#include "base/check.h"

namespace concerto::engine {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014), chained over the tokens.
uint64_t mix(uint64_t x) noexcept {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

uint64_t key_of(int parent, std::string_view salt, KvCache::BlockTokens tokens) noexcept {
  uint64_t h = mix(static_cast<uint64_t>(static_cast<int64_t>(parent)));
  if (parent == KvCache::kNone) {
    for (const char c : salt) h = mix(h ^ static_cast<unsigned char>(c));
  }
  for (const int32_t t : tokens) h = mix(h ^ static_cast<uint32_t>(t));
  return h;
}

}  // namespace

KvCache::KvCache(int blocks) : blocks_(static_cast<size_t>(blocks)) {
  // Low numbers first, so that a lightly used server touches little of the pool's memory.
  for (int b = blocks - 1; b >= 0; --b) free_.push_back(b);
}

int KvCache::allocate() {
  CHECK(available() > 0);
  int block = kNone;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else {
    block = oldest_;
    unkeep(block);
    forget(block);
  }
  blocks_[static_cast<size_t>(block)].refs = 1;
  return block;
}

int KvCache::find(int parent, std::string_view salt, BlockTokens tokens) const {
  const auto [begin, end] = index_.equal_range(key_of(parent, salt, tokens));
  for (auto it = begin; it != end; ++it) {
    const Block& b = blocks_[static_cast<size_t>(it->second)];
    if (b.parent == parent && (parent != kNone || b.salt == salt) && std::ranges::equal(b.tokens, tokens)) {
      return it->second;
    }
  }
  return kNone;
}

void KvCache::acquire(int block) {
  Block& b = blocks_[static_cast<size_t>(block)];
  CHECK(b.refs > 0 || b.indexed);
  if (b.refs == 0) unkeep(block);
  ++b.refs;
}

void KvCache::release(int block) {
  Block& b = blocks_[static_cast<size_t>(block)];
  CHECK(b.refs > 0);
  if (--b.refs > 0) return;
  if (b.indexed) {
    keep(block);
  } else {
    free_.push_back(block);
  }
}

void KvCache::index(int block, int parent, std::string_view salt, BlockTokens tokens) {
  Block& b = blocks_[static_cast<size_t>(block)];
  CHECK(b.refs > 0 && !b.indexed);
  CHECK(find(parent, salt, tokens) == kNone);
  b.indexed = true;
  b.parent = parent;
  b.key = key_of(parent, salt, tokens);
  if (parent == kNone) {
    b.salt = salt;
  } else {
    ++blocks_[static_cast<size_t>(parent)].children;
  }
  std::ranges::copy(tokens, b.tokens.begin());
  index_.emplace(b.key, block);
}

void KvCache::keep(int block) {
  Block& b = blocks_[static_cast<size_t>(block)];
  b.older = newest_;
  b.newer = kNone;
  if (newest_ != kNone) {
    blocks_[static_cast<size_t>(newest_)].newer = block;
  } else {
    oldest_ = block;
  }
  newest_ = block;
  ++kept_;
}

void KvCache::unkeep(int block) {
  Block& b = blocks_[static_cast<size_t>(block)];
  (b.older != kNone ? blocks_[static_cast<size_t>(b.older)].newer : oldest_) = b.newer;
  (b.newer != kNone ? blocks_[static_cast<size_t>(b.newer)].older : newest_) = b.older;
  b.older = b.newer = kNone;
  --kept_;
}

void KvCache::forget(int block) {
  Block& b = blocks_[static_cast<size_t>(block)];
  CHECK(b.indexed && b.refs == 0 && b.children == 0);
  const auto [begin, end] = index_.equal_range(b.key);
  const auto it = std::find_if(begin, end, [&](const auto& entry) { return entry.second == block; });
  CHECK(it != end);
  index_.erase(it);
  if (b.parent != kNone) --blocks_[static_cast<size_t>(b.parent)].children;
  b.indexed = false;
  b.parent = kNone;
  b.salt.clear();
}

bool KvCache::consistent() const {
  std::vector<int> seen(blocks_.size(), 0);
  for (const int b : free_) {
    const Block& block = blocks_[static_cast<size_t>(b)];
    if (block.refs != 0 || block.indexed) return false;
    ++seen[static_cast<size_t>(b)];
  }
  int kept = 0;
  for (int b = oldest_; b != kNone; b = blocks_[static_cast<size_t>(b)].newer) {
    const Block& block = blocks_[static_cast<size_t>(b)];
    if (block.refs != 0 || !block.indexed || ++kept > total()) return false;
    ++seen[static_cast<size_t>(b)];
  }
  if (kept != kept_) return false;
  size_t indexed = 0;
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const Block& block = blocks_[b];
    if (seen[b] + (block.refs > 0 ? 1 : 0) != 1) return false;
    if (!block.indexed) continue;
    ++indexed;
    if (block.parent == kNone) continue;
    const Block& parent = blocks_[static_cast<size_t>(block.parent)];
    if (!parent.indexed || (block.refs > 0 && parent.refs == 0)) return false;
  }
  return indexed == index_.size();
}

}  // namespace concerto::engine
