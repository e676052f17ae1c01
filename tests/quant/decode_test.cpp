#include <gtest/gtest.h>

#include <bit>
#include <cctype>

#include "base/bytes.h"
#include "quant/golden.h"
#include "quant/registry.h"

namespace concerto::quant {
namespace {

std::string lower(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

TEST(Registry, EveryTypeOfTheBuildHasItsRow) {
  for (const auto& geometry : base::kTensorGeometries) {
    EXPECT_EQ(codec(geometry.type).type, geometry.type);
    EXPECT_NE(codec(geometry.type).decode, nullptr) << geometry.name;
    EXPECT_EQ(find_by_name(geometry.name), &geometry);
    EXPECT_EQ(find_by_name(lower(geometry.name)), &geometry);
  }
  for (const char* name : {"", "q4", "q4_k_m", "Q4_0 ", "iq2_xs"}) EXPECT_EQ(find_by_name(name), nullptr) << name;
}

// Bit equality with the published Python implementation of the formats.
TEST(Decode, EqualsTheGgufPackageOnRandomBlocks) {
  for (const auto& geometry : base::kTensorGeometries) {
    if (geometry.type == base::TensorType::kF32) continue;  // a copy; see below
    const auto golden = test::read_golden("decode_" + lower(geometry.name) + ".bin");
    ASSERT_GT(golden.size(), 4U) << geometry.name;
    const size_t n = base::load_le<uint32_t>(golden.data());
    const size_t weights = n * geometry.block_weights;
    ASSERT_EQ(golden.size(), 4 + n * geometry.block_bytes + weights * 4) << geometry.name;
    const auto expected = test::as_floats(golden.data() + 4 + n * geometry.block_bytes, weights);
    std::vector<float> decoded(weights);
    codec(geometry.type).decode(golden.data() + 4, decoded.data(), n);
    for (size_t i = 0; i < weights; ++i)
      ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), std::bit_cast<uint32_t>(expected[i]))
          << geometry.name << " weight " << i << ": " << decoded[i] << " instead of " << expected[i];
  }
}

TEST(Decode, F32IsACopyAndNoBlocksIsNothing) {
  const float in[] = {1.5F, -0.0F, 3e38F};
  float out[3] = {};
  codec(base::TensorType::kF32).decode(reinterpret_cast<const std::byte*>(in), out, 3);
  EXPECT_EQ(std::memcmp(in, out, sizeof(in)), 0);
  for (const auto& geometry : base::kTensorGeometries) codec(geometry.type).decode(nullptr, nullptr, 0);
}

}  // namespace
}  // namespace concerto::quant
