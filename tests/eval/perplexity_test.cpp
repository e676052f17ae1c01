#include "eval/perplexity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "engine/reference.h"
#include "engine/scripted_model.h"
#include "text/models.h"

namespace concerto::eval {
namespace {

constexpr int kVocab = 61;

class BosTokenizer final : public text::Tokenizer {
 public:
  explicit BosTokenizer(bool adds) : adds_(adds) {}
  [[nodiscard]] std::vector<int32_t> encode(std::string_view text, bool) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c) % 59);
    return ids;
  }
  [[nodiscard]] std::string_view token_bytes(int32_t) const override { return "x"; }
  [[nodiscard]] int vocab_size() const override { return kVocab; }
  [[nodiscard]] bool is_special(int32_t) const override { return false; }
  [[nodiscard]] bool is_end(int32_t) const override { return false; }
  [[nodiscard]] int32_t bos() const override { return 60; }
  [[nodiscard]] int32_t eos() const override { return -1; }
  [[nodiscard]] bool adds_bos() const override { return adds_; }
  [[nodiscard]] int32_t find(std::string_view) const override { return -1; }

 private:
  bool adds_;
};

const kernels::KernelTable& table() {
  static const kernels::KernelTable t = [] {
    kernels::KernelTable made{};
    made.log_sum_exp = engine::reference_log_sum_exp;
    return made;
  }();
  return t;
}

std::string some_text(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + engine::scripted_mix(i) % 26);
  return text;
}

// The definition, in its plainest form: each chunk from its beginning, one token at a time, in double precision.
double by_definition(const std::vector<int32_t>& tokens, int n_ctx, int chunks, bool bos, int* scored) {
  double sum = 0;
  *scored = 0;
  for (int c = 0; c < chunks; ++c) {
    std::vector<int32_t> chunk(tokens.begin() + static_cast<ptrdiff_t>(c) * n_ctx,
                               tokens.begin() + static_cast<ptrdiff_t>(c + 1) * n_ctx);
    if (bos) chunk[0] = 60;
    for (int i = n_ctx / 2; i < n_ctx - 1; ++i) {
      std::vector<float> logits(kVocab);
      engine::scripted_logits(engine::history_hash(chunk.data(), static_cast<size_t>(i) + 1), kVocab, logits.data());
      double z = 0;
      for (const float v : logits) z += std::exp(static_cast<double>(v));
      sum -= static_cast<double>(logits[static_cast<size_t>(chunk[static_cast<size_t>(i) + 1])]) - std::log(z);
      ++*scored;
    }
  }
  return std::exp(sum / *scored);
}

TEST(Perplexity, IsLlamaPerplexitysDefinition) {
  for (const bool bos : {false, true}) {
    for (const int n_ctx : {8, 100, 257, 512}) {
      engine::ScriptedModel model(kVocab, 512);
      base::ThreadPool pool(2);
      const BosTokenizer tokenizer(bos);
      const auto tokens = perplexity_tokens(tokenizer, some_text(1700));
      ASSERT_EQ(tokens.size(), bos ? 1701U : 1700U);
      PerplexityOptions options;
      options.n_ctx = n_ctx;
      int reports = 0;
      options.progress = [&](int, int, double) { ++reports; };
      const auto result = perplexity(model, table(), pool, tokenizer, tokens, options);
      ASSERT_TRUE(result) << result.error().message;
      const int chunks = static_cast<int>(tokens.size()) / n_ctx;
      int scored = 0;
      const double expected = by_definition(tokens, n_ctx, chunks, bos, &scored);
      EXPECT_NEAR(result->perplexity, expected, expected * 2e-6) << "n_ctx " << n_ctx;
      EXPECT_EQ(result->scored, scored);
      EXPECT_EQ(reports, chunks);
      EXPECT_EQ(result->after_chunk.size(), static_cast<size_t>(chunks));
      EXPECT_NEAR(result->after_chunk[0], by_definition(tokens, n_ctx, 1, bos, &scored), expected * 1e-5);
      options.max_chunks = 2;
      EXPECT_EQ(perplexity(model, table(), pool, tokenizer, tokens, options)->perplexity, result->after_chunk[1]);
    }
  }
}

TEST(Perplexity, RefusesWhatCannotBeScored) {
  engine::ScriptedModel model(kVocab, 512);
  base::ThreadPool pool(1);
  const BosTokenizer tokenizer(false);
  const auto message = [&](const std::vector<int32_t>& tokens, int n_ctx) {
    PerplexityOptions options;
    options.n_ctx = n_ctx;
    const auto result = perplexity(model, table(), pool, tokenizer, tokens, options);
    return result ? std::string("scored") : result.error().message;
  };
  EXPECT_THAT(message(std::vector<int32_t>(100, 1), 51), testing::HasSubstr("at least 102 tokens"));
  EXPECT_THAT(message(std::vector<int32_t>(2000, 1), 513), testing::HasSubstr("expected 8 to 512, found 513"));
  EXPECT_THAT(message(std::vector<int32_t>(2000, 1), 7), testing::HasSubstr("found 7"));
  EXPECT_THAT(message(std::vector<int32_t>(2000, kVocab), 512), testing::HasSubstr("token 61"));
  model.change_logits = [](const std::vector<int32_t>&, float* logits) { logits[0] = logits[1] = std::nanf(""); };
  EXPECT_THAT(message(std::vector<int32_t>(2000, 1), 512), testing::HasSubstr("expected finite logits"));
  PerplexityJob job;
  job.text_path = "/nonexistent.txt";
  EXPECT_EQ(run_perplexity(job).error().code, base::Code::kNotFound);
}

struct Golden {
  int chunks = 0;
  double perplexity = 0;
};

// golden.txt: "FILE CHUNKS PERPLEXITY" lines; # starts a comment.
std::map<std::string, Golden> goldens() {
  std::map<std::string, Golden> read;
  std::ifstream in(std::string(CONCERTO_TEST_DATA) + "/perplexity/golden.txt");
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string file;
    Golden golden;
    if (line.starts_with('#') || !(words >> file >> golden.chunks >> golden.perplexity)) continue;
    read[file] = golden;
  }
  return read;
}

class AgainstLlamaCpp : public testing::TestWithParam<const char*> {};

TEST_P(AgainstLlamaCpp, IsWithinHalfAPercent) {
  const auto known = goldens();
  ASSERT_TRUE(known.contains(GetParam()));
  const Golden golden = known.at(GetParam());
  PerplexityJob job;
  job.model_path = text::model_path(GetParam());
  if (!std::filesystem::exists(job.model_path)) GTEST_SKIP() << job.model_path << " is not here: concerto pull gets it";
  job.text_path = std::string(CONCERTO_TEST_DATA) + "/perplexity/text.txt";
  job.options.max_chunks = golden.chunks;
  const auto result = run_perplexity(job);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(std::ssize(result->after_chunk), golden.chunks);
  EXPECT_NEAR(result->perplexity, golden.perplexity, golden.perplexity * 0.005);
  RecordProperty("perplexity", std::to_string(result->perplexity));
  std::printf("%s: %d chunks, perplexity %.4f (llama.cpp %.4f, %+.3f%%), %.1f s\n", GetParam(), golden.chunks,
              result->perplexity, golden.perplexity, (result->perplexity / golden.perplexity - 1) * 100,
              result->seconds);
}

INSTANTIATE_TEST_SUITE_P(Models, AgainstLlamaCpp,
                         testing::Values("smollm2-135m-instruct-q4_1.gguf", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                                         "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"));

}  // namespace
}  // namespace concerto::eval
