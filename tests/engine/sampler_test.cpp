#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "engine/lane_exp.h"
#include "engine/lane_sums.h"
#include "engine/random.h"
#include "engine/top_select.h"
#include "reference.h"

namespace concerto::engine {
namespace {

std::vector<float> random_logits(uint32_t seed, int vocab, float deviation = 2.5F) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> x(static_cast<size_t>(vocab));
  for (float& v : x) v = normal(rng);
  return x;
}

// Known answers of Random123's kat_vectors for philox4x32 with 10 rounds.
TEST(Random, PhiloxMatchesKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(LaneExp, IsWithinTwoUlpsOverItsRange) {
  double worst = 0;
  for (double t = -87.0; t <= 0; t += 0.000731) {
    const auto x = static_cast<float>(t);
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(lane_exp(x)) - exact) / exact);
  }
  EXPECT_LT(worst, 0x1p-22);
  EXPECT_EQ(lane_exp(0.0F), 1.0F);
  EXPECT_EQ(lane_exp(-88.0F), 0.0F);
  EXPECT_EQ(lane_exp(-INFINITY), 0.0F);
}

TEST(LaneSums, SameBitsOnEveryInstructionSet) {
  for (const int n : {1, 15, 16, 17, 1000, 49152, 151936}) {
    auto x = random_logits(static_cast<uint32_t>(n), n, 12.0F);
    x[0] = -0.0F;
    std::vector<float> plain(x.size()), other(x.size());
    const auto all = all_lane_loops();
    const float m = all[0].max(x.data(), n);
    EXPECT_EQ(m, *std::max_element(x.begin(), x.end()));
    const ExpMoments moments = all[0].exp_moments(x.data(), n, m);
    const float sum = all[0].exp_weights(x.data(), n, m, 0.7F, plain.data());
    for (const LaneLoops& loops : all) {
      SCOPED_TRACE(loops.name);
      EXPECT_EQ(loops.max(x.data(), n), m);
      EXPECT_EQ(loops.exp_moments(x.data(), n, m).weight, moments.weight);
      EXPECT_EQ(loops.exp_moments(x.data(), n, m).moment, moments.moment);
      EXPECT_EQ(loops.exp_weights(x.data(), n, m, 0.7F, other.data()), sum);
      EXPECT_EQ(std::memcmp(plain.data(), other.data(), plain.size() * sizeof(float)), 0);
    }
  }
}

TEST(TopSelect, EqualsASortForEveryK) {
  std::mt19937 rng(7);
  for (const int n : {1, 2, 15, 16, 63, 64, 65, 1000, 5000}) {
    std::vector<float> x(static_cast<size_t>(n));
    for (float& v : x) v = static_cast<float>(rng() % 50);  // many equal values
    std::vector<Candidate> all;
    for (int i = 0; i < n; ++i) all.push_back({x[static_cast<size_t>(i)], i});
    std::sort(all.begin(), all.end(), ranks_before);
    EXPECT_EQ(argmax(x.data(), n), all[0].id);
    for (const int k : {1, 2, 3, 20, 64, 100, 4999, 5001}) {
      std::vector<Candidate> top;
      select_top(x.data(), n, k, &top);
      ASSERT_EQ(top.size(), static_cast<size_t>(std::min(k, n)));
      for (size_t i = 0; i < top.size(); ++i) ASSERT_EQ(top[i].id, all[i].id) << "n " << n << " k " << k << " at " << i;
    }
  }
}

TEST(TopSelect, TakesMinusInfinityWhenNothingElseIsLeft) {
  std::vector<float> x(200, -INFINITY);
  x[150] = 1;
  std::vector<Candidate> top;
  select_top(x.data(), 200, 3, &top);
  ASSERT_EQ(top.size(), 3U);
  EXPECT_EQ(top[0].id, 150);
  EXPECT_EQ(top[1].id, 0);
  EXPECT_EQ(top[2].id, 1);
}

TEST(Sampler, GreedyTakesTheLowestOfEqualIds) {
  std::vector<float> x(1000, 0.0F);
  x[417] = x[900] = x[418] = 3.0F;
  SamplerScratch scratch;
  SamplingParams params;
  params.temperature = 0;
  const std::vector<int32_t> history = {1};
  EXPECT_EQ(sample(x.data(), 1000, history, 1, params, &scratch), 417);
}

struct Case {
  const char* name;
  SamplingParams params;
};

SamplingParams with(const std::function<void(SamplingParams&)>& set) {
  SamplingParams p;
  p.temperature = 1.0F;
  set(p);
  return p;
}

std::vector<Case> cases() {
  return {
      {"plain", with([](SamplingParams&) {})},
      {"cold", with([](SamplingParams& p) { p.temperature = 0.4F; })},
      {"hot", with([](SamplingParams& p) { p.temperature = 1.8F; })},
      {"top_k", with([](SamplingParams& p) { p.top_k = 7; })},
      {"top_p", with([](SamplingParams& p) { p.top_p = 0.6F; })},
      {"min_p", with([](SamplingParams& p) { p.min_p = 0.1F; })},
      {"top_p and min_p", with([](SamplingParams& p) { p.top_p = 0.9F, p.min_p = 0.05F; })},
      {"qwen",
       with([](SamplingParams& p) { p.temperature = 0.7F, p.top_k = 20, p.top_p = 0.8F, p.repeat_penalty = 1.1F; })},
      {"all", with([](SamplingParams& p) {
         p.temperature = 0.9F, p.top_k = 40, p.top_p = 0.95F, p.min_p = 0.02F, p.repeat_penalty = 1.3F,
         p.repeat_last_n = -1, p.presence_penalty = 0.5F, p.frequency_penalty = 0.25F,
         p.logit_bias = {{3, 2.0F}, {17, -5.0F}, {99, 4.5F}};
       })},
      {"short window", with([](SamplingParams& p) { p.repeat_penalty = 1.5F, p.repeat_last_n = 2; })},
      {"no window", with([](SamplingParams& p) { p.repeat_penalty = 1.5F, p.repeat_last_n = 0; })},
      {"encouraged", with([](SamplingParams& p) { p.presence_penalty = -1.0F, p.frequency_penalty = -0.5F; })},
  };
}

// 20,000 draws under different seeds against the reference's probabilities: Pearson's chi-square, cells of at least 10
// expected; with d degrees of freedom it stays below d + 4 sqrt(2d) except once in about 10^4. Seeds are fixed.
TEST(Sampler, DrawsFollowTheReferenceDistribution) {
  constexpr int kVocab = 1500;
  constexpr int kDraws = 20000;
  const std::vector<int32_t> history = {5, 9, 5, 100, 200, 3, 3, 3, 42, 1499};
  SamplerScratch scratch;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    auto logits = random_logits(11, kVocab);
    const auto p = reference_distribution(logits, history, 4, c.params);
    std::vector<int> seen(kVocab, 0);
    SamplingParams params = c.params;
    for (int i = 0; i < kDraws; ++i) {
      params.seed = static_cast<uint64_t>(i) * 977 + 5;
      ++seen[static_cast<size_t>(sample(logits.data(), kVocab, history, 4, params, &scratch))];
    }
    double chi = 0, rest_expected = 0;
    int cells = 0, rest_seen = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      if (p[i] == 0) {
        ASSERT_EQ(seen[i], 0) << "id " << i << " is excluded";
      }
      const double expected = p[i] * kDraws;
      if (expected < 10) {
        rest_expected += expected;
        rest_seen += seen[i];
        continue;
      }
      chi += (seen[i] - expected) * (seen[i] - expected) / expected;
      ++cells;
    }
    if (rest_expected >= 10) {
      chi += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
      ++cells;
    }
    const double freedom = std::max(1, cells - 1);
    EXPECT_LT(chi, freedom + 4 * std::sqrt(2 * freedom)) << cells << " cells";
  }
}

// Every id that the reference keeps can be drawn, no other one: the boundary of each cut is the same.
TEST(Sampler, KeepsExactlyTheReferencesIds) {
  constexpr int kVocab = 300;
  SamplerScratch scratch;
  const std::vector<int32_t> history = {1, 2, 3};
  for (uint32_t round = 0; round < 10; ++round) {
    auto logits = random_logits(round, kVocab, 0.5F);  // flat: the nucleus is long
    SamplingParams params;
    params.temperature = 1.5F;
    params.top_p = 0.3F + 0.06F * static_cast<float>(round);
    params.top_k = round % 2 == 0 ? 0 : 150;
    const auto p = reference_distribution(logits, history, 3, params);
    std::set<int32_t> expected, drawn;
    for (int i = 0; i < kVocab; ++i) {
      if (p[static_cast<size_t>(i)] > 0) expected.insert(i);
    }
    for (uint64_t seed = 0; seed < 20000; ++seed) {
      params.seed = seed;
      drawn.insert(sample(logits.data(), kVocab, history, 3, params, &scratch));
    }
    EXPECT_EQ(drawn, expected) << "round " << round;
  }
}

// The bucketed path of a long nucleus: nothing outside the reference's set is ever drawn, its halves come as often as
// they weigh.
TEST(Sampler, ALongNucleusFollowsTheReferenceToo) {
  constexpr int kVocab = 20000;
  SamplerScratch scratch;
  const std::vector<int32_t> history = {1};
  auto logits = random_logits(5, kVocab, 1.0F);
  SamplingParams params;
  params.temperature = 1.2F;
  params.top_p = 0.7F;
  const auto p = reference_distribution(logits, history, 1, params);
  double low_half = 0;
  for (size_t i = 0; i < kVocab / 2; ++i) low_half += p[i];
  int low = 0, least_likely = 0;
  double least = 1;
  for (const double v : p) {
    if (v > 0) least = std::min(least, v);
  }
  constexpr int kDraws = 2000;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    params.seed = seed;
    const auto id = static_cast<size_t>(sample(logits.data(), kVocab, history, 1, params, &scratch));
    ASSERT_GT(p[id], 0) << "id " << id << " is outside the nucleus";
    low += id < kVocab / 2 ? 1 : 0;
    least_likely += p[id] < 1.2 * least ? 1 : 0;
  }
  EXPECT_NEAR(low, kDraws * low_half, 4 * std::sqrt(kDraws * 0.25));
  EXPECT_GT(least_likely, 0);  // the nucleus reaches down to its boundary
}

TEST(Sampler, PutsTheLogitsBack) {
  auto logits = random_logits(3, 500);
  const auto before = logits;
  SamplerScratch scratch;
  SamplingParams params;
  params.repeat_penalty = 1.3F;
  params.presence_penalty = 1;
  params.frequency_penalty = 0.5F;
  params.logit_bias = {{4, 10.0F}, {4, -3.0F}, {7, 1.0F}};
  const std::vector<int32_t> history = {4, 4, 7, 9};
  (void)sample(logits.data(), 500, history, 1, params, &scratch);
  EXPECT_EQ(logits, before);
  for (const int32_t c : scratch.counts) EXPECT_EQ(c, 0);
}

TEST(Sampler, DrawsDependOnSeedChoiceAndPositionOnly) {
  auto logits = random_logits(5, 2000);
  SamplerScratch one, two;
  SamplingParams params;
  params.temperature = 1.2F;
  params.seed = 99;
  const std::vector<int32_t> history = {1, 2, 3, 4};
  const std::vector<int32_t> longer = {1, 2, 3, 4, 5};
  const int32_t first = sample(logits.data(), 2000, history, 4, params, &one);
  std::set<int32_t> by_seed, by_choice;
  for (uint64_t i = 0; i < 20; ++i) {
    params.seed = i;
    by_seed.insert(sample(logits.data(), 2000, history, 4, params, &two));
  }
  params.seed = 99;
  for (uint32_t i = 0; i < 20; ++i) {
    params.choice = i;
    by_choice.insert(sample(logits.data(), 2000, history, 4, params, &two));
  }
  params.choice = 0;
  EXPECT_GT(by_seed.size(), 10U);
  EXPECT_GT(by_choice.size(), 10U);
  EXPECT_NE(uniform_draw(99, 0, 4), uniform_draw(99, 0, 5));
  (void)sample(logits.data(), 2000, longer, 4, params, &two);
  EXPECT_EQ(sample(logits.data(), 2000, history, 4, params, &two), first);
}

TEST(Sampler, ExtremeParametersStayDefined) {
  SamplerScratch scratch;
  const std::vector<int32_t> history = {0};
  for (const float scale : {0.0F, 1e-30F, 1.0F, 1e4F, 1e30F}) {
    auto logits = random_logits(8, 777);
    for (float& v : logits) v *= scale;
    for (const float temperature : {kGreedyTemperature, 1.0F, 100.0F}) {
      for (const float top_p : {0.0F, 1e-7F, 0.999999F, 1.0F}) {
        for (const float min_p : {0.0F, 1.0F}) {
          for (const int top_k : {0, 1, 776, 777, 100000}) {
            SamplingParams params;
            params.temperature = temperature;
            params.top_p = top_p;
            params.min_p = min_p;
            params.top_k = top_k;
            const int32_t id = sample(logits.data(), 777, history, 1, params, &scratch);
            ASSERT_GE(id, 0);
            ASSERT_LT(id, 777);
            if (top_p <= 1e-7F || top_k == 1) {
              EXPECT_EQ(id, argmax(logits.data(), 777));
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace concerto::engine
