#include "model/angles.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace concerto::model {
namespace {

TEST(Angles, SinCosAgreeWithLibmOverTheWholeRange) {
  double worst = 0;
  for (double x = 0; x < 1 << 24; x += x < 100 ? 0.0137 : x * 0.00031) {
    double s = 0;
    double c = 0;
    sin_cos(x, &s, &c);
    worst = std::max({worst, std::abs(s - std::sin(x)), std::abs(c - std::cos(x))});
  }
  EXPECT_LT(worst, 4e-16);
}

TEST(Angles, SinCosNearMultiplesOfHalfPi) {
  for (int n = 1; n < 10'000'000; n = n * 2 + 1) {
    const double x = n * 1.5707963267948966;
    double s = 0;
    double c = 0;
    sin_cos(x, &s, &c);
    EXPECT_NEAR(s, std::sin(x), 3e-16) << n;
    EXPECT_NEAR(c, std::cos(x), 3e-16) << n;
  }
}

TEST(Angles, LogAndExpAgreeWithLibm) {
  for (double x = 1e-6; x < 1e12; x *= 1.013) EXPECT_NEAR(natural_log(x), std::log(x), 1e-14) << x;
  EXPECT_EQ(natural_log(1), 0);
  for (double x = -30; x < 30; x += 0.0171) EXPECT_NEAR(exponential(x) / std::exp(x), 1, 1e-14) << x;
  EXPECT_EQ(exponential(0), 1);
}

TEST(Angles, FrequenciesArePowersOfTheBase) {
  for (const double base : {10000.0, 100000.0, 1000000.0}) {
    for (const int head_dim : {16, 64, 96, 128}) {
      const auto frequencies = rope_frequencies(base, head_dim);
      ASSERT_EQ(frequencies.size(), static_cast<size_t>(head_dim / 2));
      EXPECT_EQ(frequencies[0], 1);
      for (int i = 0; i < head_dim / 2; ++i)
        EXPECT_NEAR(frequencies[static_cast<size_t>(i)] / std::pow(base, -2.0 * i / head_dim), 1, 1e-13);
    }
  }
}

// The bits themselves: another compiler, flag or processor that changes them changes every model's output.
TEST(Angles, TheBitsAreAgreedOn) {
  const auto frequencies = rope_frequencies(1000000.0, 128);
  std::vector<float> cos(64);
  std::vector<float> sin(64);
  uint64_t hash = 1469598103934665603ULL;  // FNV-1a
  for (const int position : {0, 1, 2, 63, 64, 1000, 4095, 32767, 131071}) {
    rope_angles(frequencies, position, cos.data(), sin.data());
    for (const auto& row : {cos, sin}) {
      for (const float value : row) hash = (hash ^ std::bit_cast<uint32_t>(value)) * 1099511628211ULL;
    }
  }
  EXPECT_EQ(hash, 0xbbb64e6d8f58624ULL) << fmt::format("{:#x}", hash);
}

}  // namespace
}  // namespace concerto::model
