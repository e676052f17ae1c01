#include <gtest/gtest.h>

#include <bit>
#include <cctype>
#include <cmath>
#include <limits>
#include <random>

#include "base/half.h"
#include "quant/golden.h"
#include "quant/registry.h"

namespace concerto::quant {
namespace {

using base::TensorType;

std::vector<std::byte> encode(TensorType type, const std::vector<float>& in) {
  const auto& geometry = base::geometry(type);
  const size_t n = in.size() / geometry.block_weights;
  std::vector<std::byte> blocks(n * geometry.block_bytes);
  codec(type).encode(in.data(), blocks.data(), n);
  return blocks;
}

std::vector<float> decode(TensorType type, const std::vector<std::byte>& blocks) {
  const auto& geometry = base::geometry(type);
  const size_t n = blocks.size() / geometry.block_bytes;
  std::vector<float> out(n * geometry.block_weights);
  codec(type).decode(blocks.data(), out.data(), n);
  return out;
}

double rmse(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

// Error relative to the size of the input.
double relative(TensorType type, const std::vector<float>& in) {
  return rmse(in, decode(type, encode(type, in))) / rmse(in, std::vector<float>(in.size(), 0.0F));
}

std::vector<float> gaussian(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> out(n);
  for (float& v : out) {  // a sum of uniforms: the same on every standard library
    float sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<float>(random() >> 8) * 0x1p-24F;
    v = (sum - 6.0F) * 0.02F;
  }
  return out;
}

std::vector<float> golden_input() {
  const auto bytes = test::read_golden("encode_input.f32");
  return test::as_floats(bytes.data(), bytes.size() / 4);
}

std::string lower(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Not in any 256 weights of an input that holds all sorts of values is the error above that of the reference.
TEST(Encode, IsNowhereWorseThanTheGgufPackage) {
  const auto input = golden_input();
  ASSERT_EQ(input.size(), 2560U);
  for (const TensorType type :
       {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1}) {
    const auto name = base::geometry(type).name;
    const auto theirs = decode(type, test::read_golden("encode_" + lower(name) + ".bin"));
    const auto ours = decode(type, encode(type, input));
    ASSERT_EQ(theirs.size(), input.size()) << name;
    for (size_t at = 0; at < input.size(); at += 256) {
      const auto part = [&](const std::vector<float>& v) {
        return std::vector<float>(v.begin() + static_cast<ptrdiff_t>(at), v.begin() + static_cast<ptrdiff_t>(at) + 256);
      };
      EXPECT_LE(rmse(part(ours), part(input)), rmse(part(theirs), part(input)) * (1 + 1e-6)) << name << " at " << at;
    }
    // What gaussian weights gain from the search; Q8_0 is not searched.
    const std::vector<float> weights(input.begin(), input.begin() + 1024);
    const std::vector<float> t(theirs.begin(), theirs.begin() + 1024);
    const std::vector<float> o(ours.begin(), ours.begin() + 1024);
    if (type != TensorType::kQ8_0) {
      EXPECT_LT(rmse(o, weights), rmse(t, weights) * 0.97) << name;
    }
  }
}

TEST(Encode, Bf16EqualsTheGgufPackage) {
  EXPECT_EQ(encode(TensorType::kBF16, golden_input()), test::read_golden("encode_bf16.bin"));
}

TEST(Encode, ErrorsHaveTheOrderOfTheBits) {
  const auto in = gaussian(256 * 64, 3);
  const auto e = [&](TensorType type) { return relative(type, in); };
  EXPECT_EQ(e(TensorType::kF32), 0.0);
  EXPECT_LT(e(TensorType::kF16), 3e-4);
  EXPECT_LT(e(TensorType::kBF16), 3e-3);
  EXPECT_LT(e(TensorType::kQ8_0), 0.007);
  EXPECT_LT(e(TensorType::kQ6_K), 0.022);
  EXPECT_LT(e(TensorType::kQ5_K), 0.042);
  EXPECT_LT(e(TensorType::kQ4_K), 0.085);
  // A K type spends its scale bits better than the older type of the same width.
  EXPECT_LT(e(TensorType::kQ4_K), e(TensorType::kQ4_0));
  EXPECT_LT(e(TensorType::kQ5_K), e(TensorType::kQ5_0));
  EXPECT_LT(e(TensorType::kQ5_K), e(TensorType::kQ4_K) * 0.6);
  EXPECT_LT(e(TensorType::kQ6_K), e(TensorType::kQ5_K) * 0.6);
  EXPECT_LT(e(TensorType::kQ8_0), e(TensorType::kQ6_K) * 0.5);
}

TEST(Encode, IsStableOnWhatItDecodes) {
  // Values that a type can express come back exactly or within a rounding of the scale.
  for (const auto& geometry : base::kTensorGeometries) {
    const auto first = decode(geometry.type, encode(geometry.type, gaussian(1024, 5)));
    const double scale = rmse(first, std::vector<float>(first.size(), 0.0F));
    EXPECT_LT(rmse(first, decode(geometry.type, encode(geometry.type, first))), scale * 0.02) << geometry.name;
  }
}

TEST(Encode, TakesEveryKindOfBlock) {
  std::mt19937 random(9);
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<std::vector<float>> inputs;
  for (const float v : {0.0F, -0.0F, 1.0F, -1.0F, 1e-45F, 1e-30F, -1e-8F, 6e-8F, 65504.0F, 1e6F, -3e38F, 3.4e38F,
                        infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    inputs.emplace_back(256, v);
    inputs.emplace_back(256, 0.0F).at(77) = v;
    inputs.push_back(gaussian(256, 11));
    inputs.back()[100] = v;
  }
  for (int i = 0; i < 200; ++i) {  // any bits at all
    auto& in = inputs.emplace_back(256);
    for (float& v : in) v = std::bit_cast<float>(static_cast<uint32_t>(random()));
  }
  for (const auto& geometry : base::kTensorGeometries) {
    for (const auto& in : inputs) {
      const auto blocks = encode(geometry.type, in);
      EXPECT_EQ(blocks, encode(geometry.type, in)) << geometry.name;
      if (geometry.block_weights == 1) continue;  // F32, F16 and BF16 keep what is not finite
      for (const float v : decode(geometry.type, blocks)) ASSERT_TRUE(std::isfinite(v)) << geometry.name;
    }
  }
}

TEST(Encode, ConstantsAndZerosAreExactEnough) {
  for (const auto& geometry : base::kTensorGeometries) {
    const std::vector<float> zeros(256, 0.0F);
    EXPECT_EQ(decode(geometry.type, encode(geometry.type, zeros)), zeros) << geometry.name;
    for (const float c : {0.37F, -0.37F, 12.0F, -1e-3F}) {
      for (const float v : decode(geometry.type, encode(geometry.type, std::vector<float>(256, c))))
        ASSERT_NEAR(v, c, std::fabs(c) * 0.009) << geometry.name << " " << c;
    }
  }
}

// The bytes are part of the promise: an encoder that changes them must do so knowingly.
TEST(Encode, GivesTheSameBytesEverywhere) {
  const std::pair<std::string_view, uint64_t> expected[] = {
      {"F32", 0x43935510fcd14b1eULL},  {"F16", 0xe2cb9561e9baf8f9ULL},  {"BF16", 0x0c35e4977770dfc7ULL},
      {"Q4_0", 0x8b090866bcd1d44cULL}, {"Q4_1", 0xc2155f2667fcb62eULL}, {"Q5_0", 0x0e0d391952ce385aULL},
      {"Q5_1", 0x0a6cefd17c6fa809ULL}, {"Q8_0", 0xea4b987a4bfaaeebULL}, {"Q4_K", 0xd1b29385817c46c3ULL},
      {"Q5_K", 0x2ac49c887cc97719ULL}, {"Q6_K", 0x3b72945c93f49e0cULL},
  };
  const auto input = golden_input();
  for (const auto& [name, expected_hash] : expected) {
    uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
    for (const std::byte b : encode(find_by_name(name)->type, input))
      hash = (hash ^ static_cast<uint64_t>(b)) * 0x100000001b3ULL;
    EXPECT_EQ(hash, expected_hash) << name << " 0x" << std::hex << hash;
  }
}

}  // namespace
}  // namespace concerto::quant
