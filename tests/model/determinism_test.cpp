// The engine's contract: the logits of a token are the same bits whatever else is computed, by whom and in what pieces.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/model.h"
#include "model/runner.h"
#include "model/tiny_model.h"

namespace concerto::model {
namespace {

using Logits = std::vector<std::vector<float>>;

std::vector<int32_t> random_ids(uint32_t seed, int count, int vocab) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocab)));
  return ids;
}

std::vector<int32_t> part(const std::vector<int32_t>& ids, size_t begin, size_t end) {
  return {ids.begin() + static_cast<ptrdiff_t>(begin), ids.begin() + static_cast<ptrdiff_t>(end)};
}

class Determinism : public testing::TestWithParam<const char*> {
 protected:
  static constexpr int kPrompt = 150;  // more than two KV blocks

  void SetUp() override {
    const std::string arch = GetParam();
    path_ = write_tiny_gguf(dir_, mixed_shape(arch));
    model_ = load(kernels::best_table());
    prompt_ = random_ids(5, kPrompt, model_->config().n_vocab);
    expected_ = Runner(*model_, two_, 1, 3).step({{0, prompt_}});
    ASSERT_EQ(expected_.size(), static_cast<size_t>(kPrompt));
    for (const float logit : expected_.back()) ASSERT_TRUE(std::isfinite(logit));
  }
  std::unique_ptr<Model> load(const kernels::KernelTable& table) {
    LoadOptions options;
    options.table = &table;
    auto model = Model::load(path_, two_, options);
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
  }

  TempDir dir_;
  std::string path_;
  base::ThreadPool one_{1};
  base::ThreadPool two_{2};
  base::ThreadPool five_{5};
  std::unique_ptr<Model> model_;
  std::vector<int32_t> prompt_;
  Logits expected_;
};

TEST_P(Determinism, ThreadsDoNotMatter) {
  EXPECT_EQ(Runner(*model_, one_, 1, 3).step({{0, prompt_}}), expected_);
  EXPECT_EQ(Runner(*model_, five_, 1, 3).step({{0, prompt_}}), expected_);
}

// One token on more workers than kv heads: they share the heads of a group out.
TEST_P(Determinism, WorkersThatShareAGroupOfHeadsDoNotMatter) {
  Runner runner(*model_, five_, 1, 3);
  for (size_t i = 0; i < prompt_.size(); ++i)
    EXPECT_EQ(runner.step({{0, part(prompt_, i, i + 1)}})[0], expected_[i]) << "token " << i;
}

TEST_P(Determinism, WhatTheKvPoolHeldDoesNotMatter) {
  EXPECT_EQ(Runner(*model_, two_, 1, 3, 0xff).step({{0, prompt_}}), expected_);
}

TEST_P(Determinism, ChunksOfThePromptDoNotMatter) {
  for (const size_t chunk : {1, 7, 63, 64, 65, 149}) {
    Runner runner(*model_, two_, 1, 3);
    Logits found;
    for (size_t at = 0; at < prompt_.size(); at += chunk) {
      for (auto& row : runner.step({{0, part(prompt_, at, std::min(at + chunk, prompt_.size()))}}))
        found.push_back(std::move(row));
    }
    EXPECT_EQ(found, expected_) << "chunks of " << chunk;
  }
}

TEST_P(Determinism, OtherSequencesInTheBatchDoNotMatter) {
  Runner runner(*model_, two_, 9, 4);
  // The others are of different lengths and run ahead, before and after ours in the batch.
  for (int s = 1; s < 9; ++s) runner.step({{s, random_ids(static_cast<uint32_t>(s), 10 * s, 330)}});
  Logits found;
  for (size_t at = 0; at < prompt_.size(); at += 50) {
    std::vector<Feed> feeds;
    for (int s = 1; s < 5; ++s) feeds.push_back({s, random_ids(100 + static_cast<uint32_t>(s), s == 3 ? 17 : 1, 330)});
    feeds.push_back({0, part(prompt_, at, at + 50)});
    for (int s = 5; s < 9; ++s) feeds.push_back({s, {static_cast<int32_t>(at) + s}});
    const auto logits = runner.step(feeds);
    size_t before = 0;
    for (int i = 0; i < 4; ++i) before += feeds[static_cast<size_t>(i)].tokens.size();
    for (size_t i = 0; i < 50; ++i) found.push_back(logits[before + i]);
  }
  EXPECT_EQ(found, expected_);
}

TEST_P(Determinism, OnlyWantedRowsGetLogitsAndTheyAreTheSame) {
  Runner runner(*model_, two_, 2, 3);
  const auto last = runner.step({{1, part(prompt_, 0, 40)}, {0, prompt_}}, true);
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last[0], expected_[39]);
  EXPECT_EQ(last[1], expected_.back());
}

TEST_P(Determinism, EveryInstructionSetGivesTheSameBits) {
  int others = 0;
  for (const auto* name : {"generic", "avx2", "avx512", "neon"}) {
    const auto* table = kernels::find_table(name);
    if (table == nullptr || table == &kernels::best_table()) continue;
    const auto model = load(*table);
    EXPECT_EQ(Runner(*model, two_, 1, 3).step({{0, prompt_}}), expected_) << name;
    EXPECT_EQ(model->hash(), model_->hash());
    ++others;
  }
  if (others == 0) GTEST_SKIP() << "only one kernel table runs here";
}

TEST_P(Determinism, ABatchWithoutLogitsStillStoresItsKeysAndValues) {
  Runner runner(*model_, two_, 1, 3);
  const std::vector<int32_t> blocks{2, 1, 0};
  // As Runner::step, with no rows at all.
  std::vector<BatchToken> tokens;
  for (int i = 0; i < kPrompt - 1; ++i) tokens.push_back({prompt_[static_cast<size_t>(i)], i, 0});
  const auto bytes = 3 * model_->kv_layout().block_bytes();
  std::unique_ptr<uint16_t, decltype(&std::free)> kv(static_cast<uint16_t*>(std::aligned_alloc(64, bytes)), &std::free);
  std::memset(kv.get(), 0, bytes);
  const std::vector<std::span<const int32_t>> tables{blocks};
  model_->forward({tokens, tables, {}}, kv.get(), nullptr, two_);
  const std::vector<BatchToken> next{{prompt_.back(), kPrompt - 1, 0}};
  const std::vector<int32_t> rows{0};
  std::vector<float> logits(static_cast<size_t>(model_->config().n_vocab));
  model_->forward({next, tables, rows}, kv.get(), logits.data(), two_);
  EXPECT_EQ(logits, expected_.back());
}

INSTANTIATE_TEST_SUITE_P(Architectures, Determinism, testing::Values("qwen2", "llama"));

}  // namespace
}  // namespace concerto::model
