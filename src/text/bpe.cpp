#include "text/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <queue>

namespace concerto::text {
namespace {

using base::Code;
using base::Result;

// Up to this many symbols a scan over all pairs beats the queue (measured: they are even near 150).
constexpr size_t kShortPiece = 96;

uint64_t mix(uint64_t x) noexcept {
  x ^= x >> 32;
  x *= 0x9E3779B97F4A7C15ULL;
  x ^= x >> 29;
  x *= 0xBF58476D1CE4E5B9ULL;
  return x ^ (x >> 32);
}

uint64_t hash_bytes(std::string_view s) noexcept {
  uint64_t h = s.size() * 0x9E3779B97F4A7C15ULL;
  while (s.size() >= 8) {
    uint64_t word = 0;
    std::copy_n(s.begin(), 8, reinterpret_cast<char*>(&word));
    h = mix(h ^ word);
    s.remove_prefix(8);
  }
  uint64_t tail = 0;
  std::copy(s.begin(), s.end(), reinterpret_cast<char*>(&tail));
  return mix(h ^ tail);
}

size_t capacity_for(size_t count) { return std::bit_ceil(std::max<size_t>(16, count * 2)); }

}  // namespace

void TokenMap::reserve(size_t count) {
  if (capacity_for(count) > slots_.size()) slots_.assign(capacity_for(count), {});
}

void TokenMap::grow() {
  std::vector<Slot> old(capacity_for(slots_.size()));
  old.swap(slots_);
  used_ = 0;
  for (const Slot& slot : old) {
    if (slot.id >= 0) insert(slot.bytes, slot.id);
  }
}

void TokenMap::insert(std::string_view bytes, int32_t id) {
  if (used_ * 2 >= slots_.size()) grow();
  size_t at = hash_bytes(bytes) & (slots_.size() - 1);
  while (slots_[at].id >= 0 && slots_[at].bytes != bytes) at = (at + 1) & (slots_.size() - 1);
  if (slots_[at].id < 0) ++used_;
  slots_[at] = {bytes, id};
}

int32_t TokenMap::find(std::string_view bytes) const noexcept {
  if (slots_.empty()) return -1;
  size_t at = hash_bytes(bytes) & (slots_.size() - 1);
  while (slots_[at].id >= 0 && slots_[at].bytes != bytes) at = (at + 1) & (slots_.size() - 1);
  return slots_[at].id;
}

void MergeMap::reserve(size_t count) { slots_.assign(capacity_for(count), {}); }

void MergeMap::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t pair = (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  size_t at = mix(pair) & (slots_.size() - 1);
  while (slots_[at].merge.rank != kNone && slots_[at].pair != pair) at = (at + 1) & (slots_.size() - 1);
  if (slots_[at].merge.rank == kNone) slots_[at] = {pair, merge};
}

MergeMap::Merge MergeMap::find(int32_t left, int32_t right) const noexcept {
  const uint64_t pair = (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
  size_t at = mix(pair) & (slots_.size() - 1);
  while (slots_[at].merge.rank != kNone && slots_[at].pair != pair) at = (at + 1) & (slots_.size() - 1);
  return slots_[at].merge;
}

Result<std::unique_ptr<Bpe>> Bpe::make(const std::vector<std::pair<std::string_view, int32_t>>& tokens,
                                       const std::vector<std::pair<std::string, std::string>>& merges, int32_t id_count,
                                       Options options, const std::string& where) {
  std::unique_ptr<Bpe> bpe(new Bpe());
  bpe->options_ = options;
  bpe->tokens_.reserve(tokens.size());
  for (const auto& [bytes, id] : tokens) bpe->tokens_.insert(bytes, id);
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    bpe->byte_ids_[b] = bpe->tokens_.find({&byte, 1});
  }
  bpe->merges_.reserve(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    joined.assign(left).append(right);
    const int32_t a = bpe->tokens_.find(left);
    const int32_t b = bpe->tokens_.find(right);
    const int32_t ab = bpe->tokens_.find(joined);
    if (a < 0 || b < 0 || ab < 0) {
      return base::fail(Code::kCorrupt,
                        fmt::format("{}: merge {}: expected two tokens that make a third, found a {} that is no token",
                                    where, rank, a < 0 ? "left half" : (b < 0 ? "right half" : "result")));
    }
    bpe->merges_.insert(a, b, {static_cast<uint32_t>(rank), ab});
  }
  bpe->whole_ = std::vector<std::atomic<uint8_t>>(static_cast<size_t>(id_count));
  return bpe;
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>* out) const {
  if (piece.empty()) return;
  const int32_t whole = tokens_.find(piece);
  if (whole < 0) {
    merge_all(piece, out);
    return;
  }
  if (options_.ignore_merges) {
    out->push_back(whole);
    return;
  }
  std::atomic<uint8_t>& known = whole_[static_cast<size_t>(whole)];
  const uint8_t state = known.load(std::memory_order_relaxed);
  if (state == kWhole) {
    out->push_back(whole);
    return;
  }
  const size_t before = out->size();
  merge_all(piece, out);
  if (state == kUntried) {
    const bool alone = out->size() == before + 1 && out->back() == whole;
    known.store(alone ? kWhole : kParts, std::memory_order_relaxed);
  }
}

void Bpe::merge_all(std::string_view piece, std::vector<int32_t>* out) const {
  std::vector<int32_t> symbols;
  symbols.reserve(piece.size());
  for (const char c : piece) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      symbols.push_back(id);
    } else if (options_.unknown >= 0) {
      symbols.push_back(options_.unknown);
    }
  }
  if (symbols.size() <= kShortPiece) {
    merge_short(&symbols);
  } else {
    merge_long(&symbols);
  }
  out->insert(out->end(), symbols.begin(), symbols.end());
}

// The rank of every pair in an array; each step takes the least of them and works out its two neighbours anew.
void Bpe::merge_short(std::vector<int32_t>* symbols) const {
  std::vector<int32_t>& s = *symbols;
  if (s.size() < 2) return;
  uint32_t ranks[kShortPiece];
  int32_t results[kShortPiece];
  const auto rate = [&](size_t i) {
    const MergeMap::Merge merge = merges_.find(s[i], s[i + 1]);
    ranks[i] = merge.rank;
    results[i] = merge.id;
  };
  size_t pairs = s.size() - 1;
  for (size_t i = 0; i < pairs; ++i) rate(i);
  while (pairs > 0) {
    size_t best = 0;
    for (size_t i = 1; i < pairs; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == MergeMap::kNone) break;
    s[best] = results[best];
    s.erase(s.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    for (size_t i = best + 1; i < pairs; ++i) {
      ranks[i - 1] = ranks[i];
      results[i - 1] = results[i];
    }
    --pairs;
    if (best < pairs) rate(best);
    if (best > 0) rate(best - 1);
  }
}

// A linked list of symbols and a queue of possible merges; outdated entries are recognised when they come up.
void Bpe::merge_long(std::vector<int32_t>* symbols) const {
  struct Node {
    int32_t id;  // -1: merged into its left neighbour
    uint32_t previous;
    uint32_t next;
  };
  struct Candidate {
    uint32_t rank;
    uint32_t at;
    int32_t id;
    bool operator<(const Candidate& other) const {  // top() is the lowest rank, then the leftmost
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  constexpr uint32_t kEnd = 0xFFFFFFFF;
  const size_t n = symbols->size();
  if (n >= kEnd) return;
  std::vector<Node> list(n);
  for (size_t i = 0; i < n; ++i) {
    list[i] = {(*symbols)[i], i == 0 ? kEnd : static_cast<uint32_t>(i - 1),
               i + 1 == n ? kEnd : static_cast<uint32_t>(i + 1)};
  }
  std::vector<Candidate> store;
  store.reserve(n);
  std::priority_queue<Candidate> queue(std::less<Candidate>{}, std::move(store));
  const auto offer = [&](uint32_t at) {
    if (at == kEnd || list[at].next == kEnd) return;
    const MergeMap::Merge merge = merges_.find(list[at].id, list[list[at].next].id);
    if (merge.rank != MergeMap::kNone) queue.push({merge.rank, at, merge.id});
  };
  for (uint32_t i = 0; i + 1 < n; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Node& left = list[top.at];
    if (left.id < 0 || left.next == kEnd) continue;
    const MergeMap::Merge now = merges_.find(left.id, list[left.next].id);
    if (now.rank == MergeMap::kNone || now.id != top.id) continue;
    const uint32_t gone = left.next;
    left.id = top.id;
    left.next = list[gone].next;
    list[gone].id = -1;
    if (left.next != kEnd) list[left.next].previous = top.at;
    offer(left.previous);
    offer(top.at);
  }
  symbols->clear();
  for (uint32_t i = 0; i != kEnd; i = list[i].next) symbols->push_back(list[i].id);
}

}  // namespace concerto::text
