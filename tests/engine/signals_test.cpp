#include "engine/signals.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <random>

#include "reference.h"

namespace concerto::engine {
namespace {

TEST(Signals, MatchDoublePrecision) {
  std::mt19937 rng(21);
  for (const int vocab : {1, 2, 17, 256, 49152, 151936}) {
    for (const float deviation : {0.0F, 0.5F, 3.0F, 20.0F}) {
      std::normal_distribution<float> normal(1.0F, deviation == 0 ? 1e-9F : deviation);
      std::vector<float> x(static_cast<size_t>(vocab));
      for (float& v : x) v = normal(rng);
      RowSignals row;
      read_signals(x.data(), vocab, 5, reference_log_sum_exp, &row);
      ASSERT_TRUE(row.finite);
      const double lse = static_cast<double>(reference_log_sum_exp(x.data(), vocab));
      double entropy = 0;
      for (const float v : x) entropy -= std::exp(v - lse) * (v - lse);
      EXPECT_NEAR(row.entropy, entropy, 1e-4 * (1 + entropy));
      std::vector<float> sorted = x;
      std::sort(sorted.rbegin(), sorted.rend());
      const double second = vocab > 1 ? std::exp(sorted[1] - lse) : 0.0;
      EXPECT_NEAR(row.margin, std::exp(sorted[0] - lse) - second, 2e-6);
      const TokenEvent event = token_event(row, x.data(), vocab / 2, 5);
      EXPECT_EQ(event.id, vocab / 2);
      EXPECT_NEAR(event.logprob, x[static_cast<size_t>(vocab / 2)] - lse, 1e-5 * std::abs(lse) + 1e-6);
      ASSERT_EQ(event.top.size(), static_cast<size_t>(std::min(5, vocab)));
      for (size_t i = 0; i < event.top.size(); ++i) {
        EXPECT_EQ(x[static_cast<size_t>(event.top[i].id)], sorted[i]);
        EXPECT_LE(event.top[i].logprob, 0.0F);
      }
    }
  }
}

TEST(Signals, SeeEveryNumberThatIsNotFinite) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    for (const size_t at : {size_t{0}, size_t{77}, size_t{999}, size_t{1002}}) {
      std::vector<float> x(1003, 0.5F);
      x[at] = bad;
      RowSignals row;
      read_signals(x.data(), 1003, 0, reference_log_sum_exp, &row);
      EXPECT_FALSE(row.finite) << bad << " at " << at;
    }
  }
}

TEST(Signals, NoAlternativesUnlessAsked) {
  std::vector<float> x = {1, 2, 3};
  RowSignals row;
  read_signals(x.data(), 3, 0, reference_log_sum_exp, &row);
  EXPECT_TRUE(token_event(row, x.data(), 2, 0).top.empty());
}

}  // namespace
}  // namespace concerto::engine
