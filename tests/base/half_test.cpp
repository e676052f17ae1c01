#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

namespace concerto::base {
namespace {

uint32_t bits(float f) { return std::bit_cast<uint32_t>(f); }

// The compiler's own binary16, an independent implementation (g++ 12 calls it _Float16 on x86 alone).
#if defined(__aarch64__)
using Half = __fp16;
#else
using Half = _Float16;
#endif
float compiler_widen(uint16_t half) { return static_cast<float>(std::bit_cast<Half>(half)); }
uint16_t compiler_narrow(float f) { return std::bit_cast<uint16_t>(static_cast<Half>(f)); }

TEST(Half, WidensEveryValueAsTheCompilerDoes) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float f = f16_to_f32(half);
    if (std::isnan(f)) {
      EXPECT_EQ(h & 0x7C00U, 0x7C00U);
      EXPECT_EQ(bits(f), (h & 0x8000U) << 16 | 0x7FC00000U | (h & 0x1FFU) << 13) << h;
      continue;
    }
    ASSERT_EQ(bits(f), bits(compiler_widen(half))) << h;
    ASSERT_EQ(f32_to_f16(f), half);
  }
}

TEST(Half, NarrowsAsTheCompilerDoesAroundEveryValueAndMidpoint) {
  for (uint32_t h = 0; h < 0x7C00; ++h) {
    const float low = f16_to_f32(static_cast<uint16_t>(h));
    const float high = h + 1 == 0x7C00 ? 65536.0F : f16_to_f32(static_cast<uint16_t>(h + 1));
    const float middle = low + (high - low) / 2;
    for (const float f : {low, std::nextafter(low, high), std::nextafter(middle, low), middle,
                          std::nextafter(middle, high), std::nextafter(high, low)}) {
      ASSERT_EQ(f32_to_f16(f), compiler_narrow(f)) << f;
      ASSERT_EQ(f32_to_f16(-f), compiler_narrow(-f)) << -f;
    }
  }
}

TEST(Half, NarrowsRandomBitsAsTheCompilerDoes) {
  std::mt19937 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const float f = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (std::isnan(f)) {
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f))));
    } else {
      ASSERT_EQ(f32_to_f16(f), compiler_narrow(f)) << f;
    }
  }
}

TEST(Half, Bfloat16RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808000U)), 0x3F80);  // tie, even below
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F818000U)), 0x3F82);  // tie, even above
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3F808001U)), 0x3F81);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7F7FFFFFU)), 0x7F80);  // the largest float rounds to infinity
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7F800001U)), 0x7FC0);  // a NaN stays a NaN
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0xFFFFFFFFU)), 0xFFFF);
  for (uint32_t b = 0; b < 0x10000; ++b) {
    const auto half = static_cast<uint16_t>(b);
    if (std::isnan(bf16_to_f32(half))) continue;
    ASSERT_EQ(f32_to_bf16(bf16_to_f32(half)), half);
  }
}

}  // namespace
}  // namespace concerto::base
