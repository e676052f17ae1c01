#include "engine/kv_cache.h"

#include <algorithm>

#include "base/check.h"

namespace concerto::engine {
namespace {

// Blocks looked at for a part to copy: the newest. More would cost more than the tokens they might spare.
constexpr int kMostSiblings = 64;

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
  attach(block, parent, salt, tokens);
  b.key = key_of(parent, salt, tokens);
  index_.emplace(b.key, block);
}

void KvCache::index_part(int block, int parent, std::string_view salt, std::span<const int32_t> tokens) {
  CHECK(blocks_[static_cast<size_t>(block)].refs > 0 && !blocks_[static_cast<size_t>(block)].indexed);
  CHECK(!tokens.empty() && std::ssize(tokens) < kernels::kKvBlockTokens);
  if (find_part(parent, salt, tokens).count < std::ssize(tokens)) attach(block, parent, salt, tokens);
}

void KvCache::attach(int block, int parent, std::string_view salt, std::span<const int32_t> tokens) {
  Block& b = blocks_[static_cast<size_t>(block)];
  b.indexed = true;
  b.parent = parent;
  if (parent == kNone) b.salt = salt;
  b.count = static_cast<int>(tokens.size());
  std::ranges::copy(tokens, b.tokens.begin());
  int& first = first_of(parent);
  b.next_sibling = first;
  b.previous_sibling = kNone;
  if (first != kNone) blocks_[static_cast<size_t>(first)].previous_sibling = block;
  first = block;
}

KvCache::Part KvCache::find_part(int parent, std::string_view salt, std::span<const int32_t> tokens) const {
  Part best;
  int looked = 0;
  for (int i = parent == kNone ? first_root_ : blocks_[static_cast<size_t>(parent)].first_child;
       i != kNone && looked < kMostSiblings; i = blocks_[static_cast<size_t>(i)].next_sibling, ++looked) {
    const Block& b = blocks_[static_cast<size_t>(i)];
    if (parent == kNone && b.salt != salt) continue;
    const auto known = std::span(b.tokens).first(static_cast<size_t>(b.count));
    const auto count = static_cast<int>(std::ranges::mismatch(known, tokens).in1 - known.begin());
    if (count > best.count) best = {i, count};
  }
  return best;
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
  CHECK(b.indexed && b.refs == 0 && b.first_child == kNone);
  if (b.count == kernels::kKvBlockTokens) {
    const auto [begin, end] = index_.equal_range(b.key);
    const auto it = std::find_if(begin, end, [&](const auto& entry) { return entry.second == block; });
    CHECK(it != end);
    index_.erase(it);
  }
  (b.previous_sibling == kNone ? first_of(b.parent) : blocks_[static_cast<size_t>(b.previous_sibling)].next_sibling) =
      b.next_sibling;
  if (b.next_sibling != kNone) blocks_[static_cast<size_t>(b.next_sibling)].previous_sibling = b.previous_sibling;
  b.next_sibling = b.previous_sibling = kNone;
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
  size_t listed = 0;
  const auto list = [&](int first, int parent) {
    int previous = kNone;
    for (int i = first; i != kNone; previous = i, i = blocks_[static_cast<size_t>(i)].next_sibling) {
      const Block& one = blocks_[static_cast<size_t>(i)];
      if (!one.indexed || one.parent != parent || one.previous_sibling != previous) return false;
      if (++listed > blocks_.size()) return false;
    }
    return true;
  };
  if (!list(first_root_, kNone)) return false;
  size_t full = 0;
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const Block& block = blocks_[b];
    if (seen[b] + (block.refs > 0 ? 1 : 0) != 1) return false;
    if (!list(block.first_child, static_cast<int>(b))) return false;
    if (!block.indexed) continue;
    ++indexed;
    if (block.count == kernels::kKvBlockTokens) ++full;
    if (block.parent == kNone) continue;
    const Block& parent = blocks_[static_cast<size_t>(block.parent)];
    if (!parent.indexed || (block.refs > 0 && parent.refs == 0)) return false;
  }
  return full == index_.size() && listed == indexed;
}

}  // namespace concerto::engine
