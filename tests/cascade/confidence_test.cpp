#include "cascade/confidence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "scripted.h"

namespace concerto::cascade {
namespace {

TEST(FixedExp, EqualsExp) {
  for (double x = -40; x <= 0; x += 0.00137) EXPECT_NEAR(fixed_exp(x) / std::exp(x), 1, 1e-13) << x;
  EXPECT_EQ(fixed_exp(0), 1.0);
  EXPECT_EQ(fixed_exp(5), 1.0);
  EXPECT_EQ(fixed_exp(-1e9), 0.0);
  EXPECT_EQ(fixed_exp(-std::numeric_limits<double>::infinity()), 0.0);
  EXPECT_EQ(fixed_exp(std::numeric_limits<double>::quiet_NaN()), 0.0);
  EXPECT_GT(fixed_exp(-690), 0.0);
}

TEST(Features, AreWhatTheySay) {
  std::vector<TokenInfo> tokens;
  for (int i = 0; i < 20; ++i) {
    TokenInfo one;
    one.margin = i == 7 ? 0.0F : 0.5F;
    one.logprob = i == 7 ? -3.0F : -1.0F;
    one.entropy = i == 7 ? 2.0F : 0.5F;
    tokens.push_back(one);
  }
  tokens[0].thinking = true;
  const Features all = features_of(tokens, 0, true);
  EXPECT_TRUE(all.ended);
  EXPECT_EQ(all.answer.tokens, 19);
  EXPECT_EQ(all.thinking.tokens, 1);
  EXPECT_NEAR(all.answer.mean_margin, 9.0 / 19, 1e-12);
  EXPECT_NEAR(all.answer.mean_logprob, -21.0 / 19, 1e-12);
  EXPECT_NEAR(all.answer.mean_entropy, 11.0 / 19, 1e-12);
  EXPECT_EQ(all.answer.min_logprob, -3.0);
  EXPECT_EQ(all.answer.max_entropy, 2.0);
  EXPECT_EQ(all.answer.low_margin, 0.5) << "the second lowest of 19";
  EXPECT_NEAR(all.answer.min_window_margin, 3.5 / 8, 1e-12);
  EXPECT_EQ(features_of(std::span(tokens).first(11), 0, true).answer.low_margin, 0.0) << "the lowest of 10";
}

TEST(Features, StopAtTheWindow) {
  std::vector<TokenInfo> tokens(10, signal("a", 0.9F));
  tokens[5].margin = 0;
  const Features five = features_of(tokens, 5, true);
  EXPECT_EQ(five.answer.tokens, 5);
  EXPECT_FALSE(five.ended) << "more followed";
  EXPECT_EQ(confidence(five), confidence(features_of(std::span(tokens).first(5), 5, false)));
  EXPECT_GT(*confidence(five), *confidence(features_of(tokens, 6, true)));
}

TEST(Confidence, NothingSeenIsNoConfidence) { EXPECT_FALSE(confidence(features_of({}, 0, true))); }

TEST(Confidence, GrowsWithTheMargin) {
  double last = -1;
  for (int i = 0; i <= 20; ++i) {
    const std::vector<TokenInfo> tokens(10, signal("a", static_cast<float>(i) / 20.0F));
    const double score = *confidence(features_of(tokens, 0, true));
    EXPECT_GE(score, last);
    EXPECT_GE(score, 0);
    EXPECT_LE(score, 1);
    last = score;
  }
  EXPECT_GT(last, 0.95);
}

TEST(Confidence, OneTokenInDoubtWeighsLessThanMany) {
  std::vector<TokenInfo> tokens(20, signal("a", 0.98F));
  const double none = *confidence(features_of(tokens, 0, true));
  tokens[9] = signal("a", 0.1F);
  const double one = *confidence(features_of(tokens, 0, true));
  for (size_t i = 0; i < 20; i += 3) tokens[i] = signal("a", 0.1F);
  const double many = *confidence(features_of(tokens, 0, true));
  EXPECT_GT(none, one);
  EXPECT_GT(one, 0.85);
  EXPECT_LT(many, 0.85);
}

TEST(Confidence, WithoutMarginsTheProbabilityCounts) {
  const auto score = [](float logprob) {
    TokenInfo one;
    one.logprob = logprob;
    return *confidence(features_of(std::vector<TokenInfo>(10, one), 0, true));
  };
  EXPECT_GT(score(-0.001F), 0.9);
  EXPECT_LT(score(-3.0F), 0.5);
}

TEST(Confidence, JudgesTheAnswerOnceThereIsOne) {
  std::vector<TokenInfo> tokens(10, signal("t", 0.0F, true));
  const double thinking = *confidence(features_of(tokens, 0, false));
  EXPECT_LT(thinking, 0.7);
  tokens.push_back(signal("a", 1.0F));
  EXPECT_GT(*confidence(features_of(tokens, 0, true)), 0.9);
}

TEST(Confidence, BadNumbersCountAsDoubt) {
  TokenInfo bad;
  bad.margin = std::numeric_limits<float>::quiet_NaN();
  bad.logprob = -std::numeric_limits<float>::infinity();
  bad.entropy = std::numeric_limits<float>::infinity();
  const auto score = confidence(features_of(std::vector<TokenInfo>(3, bad), 0, true));
  ASSERT_TRUE(score);
  EXPECT_LT(*score, 0.5);
}

}  // namespace
}  // namespace concerto::cascade
