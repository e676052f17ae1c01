// Runner: feeds tokens of several sequences to a model and keeps their KV blocks, as the engine will.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/check.h"
#include "model/model.h"

namespace concerto::model {

struct Feed {
  int sequence = 0;
  std::vector<int32_t> tokens;
};

class Runner {
 public:
  // Each sequence may hold `blocks` KV blocks. `first_byte` fills the pool: whatever it held before must not matter.
  Runner(Model& model, base::ThreadPool& pool, int sequences, int blocks, int fill = 0)
      : model_(model), pool_(pool), positions_(static_cast<size_t>(sequences)) {
    const size_t count = static_cast<size_t>(sequences) * static_cast<size_t>(blocks);
    const size_t bytes = count * model.kv_layout().block_bytes();
    kv_.reset(static_cast<uint16_t*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
    CHECK(kv_ != nullptr);
    std::memset(kv_.get(), fill, bytes);
    tables_.resize(positions_.size());
    // Interleaved and backwards: a sequence's blocks are not neighbours.
    for (size_t i = count; i-- > 0;) tables_[i % tables_.size()].push_back(static_cast<int32_t>(i));
  }

  // One batch; the logits [tokens][V] of all its tokens, or of the last of each feed.
  std::vector<std::vector<float>> step(const std::vector<Feed>& feeds, bool last_only = false) {
    std::vector<BatchToken> tokens;
    std::vector<int32_t> rows;
    for (const auto& feed : feeds) {
      for (size_t i = 0; i < feed.tokens.size(); ++i) {
        if (!last_only || i + 1 == feed.tokens.size()) rows.push_back(static_cast<int32_t>(tokens.size()));
        tokens.push_back({feed.tokens[i], positions_[static_cast<size_t>(feed.sequence)]++, feed.sequence});
      }
    }
    const std::vector<std::span<const int32_t>> tables(tables_.begin(), tables_.end());
    const auto width = static_cast<size_t>(model_.config().n_vocab);
    std::vector<float> logits(rows.size() * width);
    model_.forward({tokens, tables, rows}, kv_.get(), logits.data(), pool_);
    std::vector<std::vector<float>> out;
    for (size_t i = 0; i < rows.size(); ++i)
      out.emplace_back(logits.begin() + static_cast<ptrdiff_t>(i * width),
                       logits.begin() + static_cast<ptrdiff_t>((i + 1) * width));
    return out;
  }

  // Greedy ids that go on after `prompt`.
  std::vector<int32_t> greedy(const std::vector<int32_t>& prompt, int count, int sequence = 0) {
    std::vector<int32_t> ids;
    std::vector<int32_t> next = prompt;
    for (int i = 0; i < count; ++i) {
      const auto logits = step({{sequence, next}}, true)[0];
      next = {static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())};
      ids.push_back(next[0]);
    }
    return ids;
  }

 private:
  struct Free {
    void operator()(uint16_t* p) const { std::free(p); }
  };
  Model& model_;
  base::ThreadPool& pool_;
  std::unique_ptr<uint16_t, Free> kv_;
  std::vector<int> positions_;  // next of each sequence
  std::vector<std::vector<int32_t>> tables_;
};

}  // namespace concerto::model
