#include "engine/suffix_index.h"

#include <algorithm>

namespace concerto::engine {
namespace {

constexpr size_t kLeastSlots = 256;

}  // namespace

size_t SuffixIndex::slot(const int32_t* end) const noexcept {
  uint64_t h = 0;
  for (int i = kGram; i > 0; --i) h = (h ^ static_cast<uint32_t>(end[-i])) * 0x9E3779B97F4A7C15ULL;
  return static_cast<size_t>(h >> 32) & (heads_.size() - 1);
}

void SuffixIndex::insert(std::span<const int32_t> tokens, int position) {
  int32_t last = -1;
  if (position + 1 >= kGram) {
    int32_t& head = heads_[slot(tokens.data() + position + 1)];
    last = head;
    head = position;
  }
  previous_.push_back(last);
}

void SuffixIndex::grow(std::span<const int32_t> tokens) {
  size_t slots = std::max(kLeastSlots, heads_.size());
  while (slots < tokens.size()) slots *= 2;
  if (slots == heads_.size()) return;
  heads_.assign(slots, -1);
  const auto known = static_cast<int>(previous_.size());
  previous_.clear();
  for (int p = 0; p < known; ++p) insert(tokens, p);
}

void SuffixIndex::extend(std::span<const int32_t> tokens) {
  grow(tokens);
  previous_.reserve(tokens.size());
  for (auto p = static_cast<int>(previous_.size()); p < static_cast<int>(tokens.size()); ++p) insert(tokens, p);
}

int SuffixIndex::agreement(std::span<const int32_t> tokens, int next) noexcept {
  const auto size = static_cast<int>(tokens.size());
  const int most = std::min(kMaxLength, next);
  int length = 0;
  while (length < most &&
         tokens[static_cast<size_t>(next - 1 - length)] == tokens[static_cast<size_t>(size - 1 - length)]) {
    ++length;
  }
  return length;
}

SuffixIndex::Match SuffixIndex::find(std::span<const int32_t> tokens) const {
  Match best;
  if (tokens.size() <= kGram) return best;
  int32_t position = previous_[tokens.size() - 1];
  for (int i = 0; i < kCandidates && position >= 0; ++i, position = previous_[static_cast<size_t>(position)]) {
    // Slots are shared by different tokens: only the comparison tells.
    const int length = agreement(tokens, position + 1);
    if (length >= kGram && length > best.length) best = {position + 1, length};
    if (best.length == kMaxLength) break;
  }
  return best;
}

}  // namespace concerto::engine
