// A model without weights for the engine's tests: the logits after a token depend on every token before it, read back
// from the KV blocks. A wrong block, a wrong position, a block reused too early or shared wrongly changes the tokens.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/engine.h"

namespace concerto::engine {

inline uint64_t scripted_mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

inline uint64_t history_hash(const int32_t* tokens, size_t count) {
  uint64_t h = 1;
  for (size_t i = 0; i < count; ++i) h = scripted_mix(h ^ static_cast<uint32_t>(tokens[i]));
  return h;
}

inline void scripted_logits(uint64_t hash, int vocab, float* out) {
  for (int v = 0; v < vocab; ++v) {
    out[v] = static_cast<float>(scripted_mix(hash + static_cast<uint64_t>(v) * 7919) >> 40) * (8.0F / 16777216.0F);
  }
}

class ScriptedModel final : public model::Model {
 public:
  explicit ScriptedModel(int vocab, int context) {
    config_.arch = "scripted";
    config_.name = "scripted";
    config_.n_vocab = vocab;
    config_.n_context = context;
  }

  [[nodiscard]] const model::ModelConfig& config() const override { return config_; }
  [[nodiscard]] kernels::KvLayout kv_layout() const override { return {1, 1, 8}; }
  [[nodiscard]] size_t weight_bytes() const override { return 0; }
  [[nodiscard]] const std::string& hash() const override { return hash_; }
  [[nodiscard]] size_t workspace_bytes(int, int) const override { return 0; }

  void forward(const model::Batch& batch, uint16_t* kv, float* logits, base::ThreadPool&) override {
    if (on_forward) on_forward(batch);
    const size_t block_values = kv_layout().block_values();
    if (batch.abandon && batch.abandon()) {
      // What a pass that is left off wrote means nothing: make sure that nobody reads it.
      for (const model::BatchToken& t : batch.tokens) {
        at(kv, batch.block_tables[static_cast<size_t>(t.sequence)], block_values, t.position)[64] = 0xFFFF;
      }
      return;
    }
    size_t row = 0;
    for (size_t i = 0; i < batch.tokens.size(); ++i) {
      const model::BatchToken& t = batch.tokens[i];
      CHECK(t.token >= 0 && t.token < config_.n_vocab);
      if (i > 0 && batch.tokens[i - 1].sequence == t.sequence) CHECK(batch.tokens[i - 1].position + 1 == t.position);
      const auto table = batch.block_tables[static_cast<size_t>(t.sequence)];
      CHECK(static_cast<size_t>(t.position) / 64 < table.size());
      uint16_t* slot = at(kv, table, block_values, t.position);
      slot[0] = static_cast<uint16_t>(t.token);
      slot[64] = static_cast<uint16_t>(t.position);
      if (row == batch.logit_rows.size() || batch.logit_rows[row] != static_cast<int32_t>(i)) continue;
      std::vector<int32_t> history;
      for (int32_t p = 0; p <= t.position; ++p) {
        const uint16_t* s = at(kv, table, block_values, p);
        // A position that nobody computed, or of another place, gives a history that matches nothing.
        history.push_back(s[64] == static_cast<uint16_t>(p) ? s[0] : -1);
      }
      scripted_logits(history_hash(history.data(), history.size()), config_.n_vocab,
                      logits + row * static_cast<size_t>(config_.n_vocab));
      if (change_logits) change_logits(history, logits + row * static_cast<size_t>(config_.n_vocab));
      ++row;
    }
    CHECK(row == batch.logit_rows.size());
  }

  std::function<void(const model::Batch&)> on_forward;
  std::function<void(const std::vector<int32_t>&, float*)> change_logits;

 private:
  static uint16_t* at(uint16_t* kv, std::span<const int32_t> table, size_t block_values, int32_t position) {
    return kv + static_cast<size_t>(table[static_cast<size_t>(position) / 64]) * block_values + position % 64;
  }

  model::ModelConfig config_;
  std::string hash_ = "scripted";
};

// Ids are their own text; the last one ends an answer.
class NumberTokenizer final : public text::Tokenizer {
 public:
  explicit NumberTokenizer(int vocab) : vocab_(vocab) {}
  [[nodiscard]] std::vector<int32_t> encode(std::string_view text, bool) const override {
    return {text.begin(), text.end()};
  }
  [[nodiscard]] std::string_view token_bytes(int32_t) const override { return "x"; }
  [[nodiscard]] int vocab_size() const override { return vocab_; }
  [[nodiscard]] bool is_special(int32_t id) const override { return is_end(id); }
  [[nodiscard]] bool is_end(int32_t id) const override { return id == vocab_ - 1; }
  [[nodiscard]] int32_t bos() const override { return -1; }
  [[nodiscard]] int32_t eos() const override { return vocab_ - 1; }
  [[nodiscard]] bool adds_bos() const override { return false; }
  [[nodiscard]] int32_t find(std::string_view) const override { return -1; }

 private:
  int vocab_;
};

}  // namespace concerto::engine
