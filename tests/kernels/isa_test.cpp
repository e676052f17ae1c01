// Every vector table returns the same bits as generic, for every function and type.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/kernels.h"
#include "kernels/math.h"
#include "kernels/test_data.h"

namespace concerto::kernels {
namespace {

const KernelTable& generic() { return *find_table("generic"); }

std::vector<const char*> tables() {
  std::vector<const char*> out;
  for (const char* name : {"avx2", "avx512", "neon"}) {
    if (find_table(name) != nullptr) out.push_back(name);
  }
  return out;
}

// Equal bits, where all NaN are one value.
testing::AssertionResult same(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (bits_of(a[i]) != bits_of(b[i])) {
      return testing::AssertionFailure() << "element " << i << " of " << a.size() << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

// Inputs that reach the corners: zeros, denormals, huge values, inf, NaN among ordinary ones.
std::vector<float> edge_floats(size_t n, uint64_t seed) {
  auto v = test::random_floats(n, seed);
  const float edges[] = {0.0F, -0.0F, 1e-42F, -1e-42F, 1e-37F, 3e38F, -3e38F, INFINITY, -INFINITY, NAN, 88.7F, -87.4F};
  for (size_t i = 0; i < n; i += 7) v[i] = edges[(i / 7 + seed) % std::size(edges)];
  return v;
}

// Like edge_floats, but some 32 columns are one kind of corner altogether, beside ordinary neighbours.
std::vector<float> block_floats(size_t n, uint64_t seed) {
  if (seed == 0) return test::random_floats(n, 4);
  auto v = edge_floats(n, seed);
  const float kinds[] = {0.0F, 1e-42F, 0x1p-119F, 0x1.fffffep-120F, 3e38F, NAN, INFINITY};
  for (size_t i = 0; i < n; i += 64) std::fill_n(v.begin() + i, 32, kinds[(i / 64 + seed) % std::size(kinds)]);
  return v;
}

class IsaTest : public testing::TestWithParam<const char*> {
 protected:
  const KernelTable& table() { return *find_table(GetParam()); }

  void expect_same_quants(const std::vector<float>& x, int cols, int block) {
    const test::Inputs a(generic(), x, 3, cols, block);
    const test::Inputs b(table(), x, 3, cols, block);
    const auto scales = static_cast<size_t>(Activations::blocks(cols, block)) * 3;
    const auto q = static_cast<size_t>(Activations::q_stride(cols)) * 3;
    EXPECT_TRUE(same({a.x.scales, a.x.scales + scales}, {b.x.scales, b.x.scales + scales}));
    EXPECT_TRUE(same({a.x.float_sums, a.x.float_sums + q / 32}, {b.x.float_sums, b.x.float_sums + q / 32}));
    const auto equal = [&](const void* left, const void* right, size_t bytes) {
      EXPECT_EQ(std::memcmp(left, right, bytes), 0) << cols << " columns, block " << block;
    };
    equal(a.x.q, b.x.q, q);
    equal(a.x.sums, b.x.sums, q / 32 * sizeof(int16_t));
    equal(a.x.neg_sums, b.x.neg_sums, q / 32 * sizeof(int32_t));
    equal(a.x.offsets16, b.x.offsets16, q / 16 * sizeof(int32_t));
    if (block == kQuantBlock) equal(a.x.wide, b.x.wide, scales);
  }

  void expect_same_matmul(const PackedMatrix& w, const std::vector<float>& x, int tokens) {
    const test::Inputs expected_in(generic(), x, tokens, w.cols, activation_block(w.type));
    const test::Inputs in(table(), x, tokens, w.cols, activation_block(w.type));
    const size_t n = static_cast<size_t>(tokens) * static_cast<size_t>(w.rows);
    std::vector<float> expected(n, 1.0F);
    std::vector<float> got(n, 2.0F);
    generic().matmul(w, expected_in.x, 0, w.panels(), expected.data(), w.rows);
    table().matmul(w, in.x, 0, w.panels(), got.data(), w.rows);
    EXPECT_TRUE(same(expected, got)) << base::geometry(w.type).name << " " << w.rows << "x" << w.cols << " T "
                                     << tokens;
  }
};

TEST_P(IsaTest, MatmulOfEveryTypeAndShape) {
  for (const auto& g : base::kTensorGeometries) {
    for (const int cols : {32, 64, 256, 576, 896, 1536}) {
      if (cols % static_cast<int>(g.block_weights) != 0) continue;
      for (const int rows : {7, 16, 41}) {
        const test::Matrix m(g.type, rows, cols, static_cast<uint64_t>(cols + rows));
        for (const int tokens : {1, 2, 5, 9}) {
          expect_same_matmul(m.view, test::random_floats(static_cast<size_t>(tokens) * static_cast<size_t>(cols), 11),
                             tokens);
        }
      }
    }
  }
}

TEST_P(IsaTest, MatmulOfEveryTokenCount) {
  for (const auto& g : base::kTensorGeometries) {
    const test::Matrix m(g.type, 24, 512, 9);
    for (int tokens = 1; tokens <= 40; ++tokens) {
      expect_same_matmul(m.view, test::random_floats(static_cast<size_t>(tokens) * 512, 12), tokens);
    }
  }
}

TEST_P(IsaTest, MatmulOfExtremeWeightsAndActivations) {
  for (const auto& g : base::kTensorGeometries) {
    const int cols = 512;
    std::vector<float> big(3 * cols);
    for (size_t i = 0; i < big.size(); ++i) big[i] = i % 3 == 0 ? -127.0F : 127.0F;
    for (const int fill : {0x00, 0x7B, 0xFB, 0xFF}) {  // all quants low, high; scales up to NaN
      std::vector<std::byte> file(16UL * cols / g.block_weights * g.block_bytes, static_cast<std::byte>(fill));
      const test::Aligned packed(packed_bytes(g.type, 16, cols));
      pack(g.type, 16, cols, file.data(), 0, 1, packed.data());
      expect_same_matmul({g.type, 16, cols, packed.data(), packed.size()}, big, 3);
      expect_same_matmul({g.type, 16, cols, packed.data(), packed.size()}, std::vector<float>(3 * cols, 1.0F), 3);
    }
    const test::Matrix m(g.type, 20, cols, 21);
    expect_same_matmul(m.view, std::vector<float>(3 * cols, 0.0F), 3);
    for (uint64_t seed = 0; seed < 4; ++seed) expect_same_matmul(m.view, edge_floats(3 * cols, seed), 3);
    for (uint64_t seed = 1; seed < 8; ++seed) expect_same_matmul(m.view, block_floats(3 * cols, seed), 3);
    auto tiny = test::random_floats(3 * cols, 5);
    for (auto& v : tiny) v *= 1e-38F;
    expect_same_matmul(m.view, tiny, 3);
  }
}

// Activations whose |q| over 16 columns add up to `sum` in all the columns, of one sign or of alternating ones: at
// kNarrowSum 16 bits just hold the products with the largest weights, beyond they don't.
std::vector<float> columns_of_sum(int sum, int tokens, int cols, bool one_sign) {
  std::vector<float> x(static_cast<size_t>(tokens) * static_cast<size_t>(cols));
  for (size_t i = 0; i < x.size(); i += 16) {
    int left = sum;
    for (size_t c = 0; c < 16; ++c) {
      const int q = std::min(left, 127);
      x[i + c] = static_cast<float>(one_sign || c % 2 == 0 ? q : -q);
      left -= q;
    }
  }
  return x;
}

TEST_P(IsaTest, MatmulAtTheLimitOf16Bits) {
  for (const auto type : {base::TensorType::kQ4_K, base::TensorType::kQ5_K, base::TensorType::kQ6_K}) {
    const auto& g = base::geometry(type);
    const int cols = 512;
    auto ordinary = test::random_file(type, 16, cols, 5);
    for (const int fill : {0x00, 0xFF, -1}) {  // all weights the least, the largest, random
      auto file = ordinary;
      if (fill >= 0) {
        for (size_t i = 0; i < file.size(); ++i) {  // scales and minima stay
          const size_t at = i % g.block_bytes;
          if (type == base::TensorType::kQ6_K ? at < 192 : at >= 16) file[i] = static_cast<std::byte>(fill);
        }
      }
      const test::Aligned packed(packed_bytes(type, 16, cols));
      pack(type, 16, cols, file.data(), 0, 1, packed.data());
      for (const int sum : {1022, 1023, 1024, 1500, 16 * 127}) {
        for (const bool one_sign : {false, true}) {
          auto x = columns_of_sum(sum, 9, cols, one_sign);
          expect_same_matmul({type, 16, cols, packed.data(), packed.size()}, x, 9);
          for (auto& v : x) v = -v;
          expect_same_matmul({type, 16, cols, packed.data(), packed.size()}, x, 9);
        }
      }
    }
  }
}

TEST_P(IsaTest, ATokensResultDependsOnNothingElse) {
  for (const auto& g : base::kTensorGeometries) {
    const int cols = 512;
    const int rows = 50;
    const test::Matrix m(g.type, rows, cols, 2);
    const auto x = test::random_floats(13UL * cols, 3);
    const test::Inputs all(table(), x, 13, cols, activation_block(g.type));
    std::vector<float> together(13UL * rows);
    for (int panel = 0; panel < m.view.panels(); ++panel) {  // in parts
      table().matmul(m.view, all.x, panel, panel + 1, together.data(), rows);
    }
    for (int t = 0; t < 13; ++t) {
      const test::Inputs one(table(), {x.begin() + t * cols, x.begin() + (t + 1) * cols}, 1, cols,
                             activation_block(g.type));
      std::vector<float> alone(rows);
      table().matmul(m.view, one.x, 0, m.view.panels(), alone.data(), rows);
      EXPECT_TRUE(same(alone, {together.begin() + t * rows, together.begin() + (t + 1) * rows})) << g.name;
    }
  }
}

TEST_P(IsaTest, MatmulWritesOnlyItsPanels) {
  const test::Matrix m(base::TensorType::kQ4_0, 40, 64, 1);
  const test::Inputs in(table(), test::random_floats(64 * 2, 1), 2, 64, 32);
  std::vector<float> out(2 * 50, 77.0F);
  table().matmul(m.view, in.x, 1, 3, out.data(), 50);
  for (int t = 0; t < 2; ++t) {
    for (int r = 0; r < 50; ++r) EXPECT_EQ(out[t * 50 + r] == 77.0F, r < 16 || r >= 40) << r;
  }
}

TEST_P(IsaTest, Quantize) {
  for (const int block : {32, 256}) {
    for (const int cols : {32, 64, 96, 256, 288, 896, 1536}) {
      for (uint64_t seed = 0; seed < 6; ++seed) expect_same_quants(block_floats(3UL * cols, seed), cols, block);
      for (const int sum : {1023, 1024}) expect_same_quants(columns_of_sum(sum, 3, cols, false), cols, block);
    }
  }
}

TEST_P(IsaTest, VectorFunctions) {
  for (const int n : {1, 3, 15, 16, 17, 64, 577, 1536}) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const bool edges = seed >= 2;
      const auto count = static_cast<size_t>(n);
      const auto x = edges ? edge_floats(count, seed) : test::random_floats(count, seed, 20.0F);
      const auto y = edges ? edge_floats(count, seed + 5) : test::random_floats(count, seed + 50);
      std::vector<float> a(count);
      std::vector<float> b(count);
      generic().rms_norm(x.data(), y.data(), 1e-6F, n, a.data());
      table().rms_norm(x.data(), y.data(), 1e-6F, n, b.data());
      EXPECT_TRUE(same(a, b)) << "rms_norm " << n;
      generic().silu_mul(x.data(), y.data(), n, a.data());
      table().silu_mul(x.data(), y.data(), n, b.data());
      EXPECT_TRUE(same(a, b)) << "silu_mul " << n;
      a = b = x;
      generic().add(a.data(), y.data(), n);
      table().add(b.data(), y.data(), n);
      EXPECT_TRUE(same(a, b)) << "add " << n;
      EXPECT_TRUE(same({generic().log_sum_exp(x.data(), n)}, {table().log_sum_exp(x.data(), n)})) << "lse " << n;
    }
  }
}

TEST_P(IsaTest, ExpOverItsWholeRange) {
  std::vector<float> gate;
  for (float v = -120.0F; v < 120.0F; v += 0.0037F) gate.push_back(v);
  const std::vector<float> up(gate.size(), 1.0F);
  std::vector<float> a(gate.size());
  std::vector<float> b(gate.size());
  generic().silu_mul(gate.data(), up.data(), static_cast<int>(gate.size()), a.data());
  table().silu_mul(gate.data(), up.data(), static_cast<int>(gate.size()), b.data());
  EXPECT_TRUE(same(a, b));
}

TEST_P(IsaTest, Rope) {
  for (const int dims : {16, 48, 64, 80, 128}) {
    for (const bool neox : {false, true}) {
      auto a = test::random_floats(3UL * dims, 1);
      auto b = a;
      const auto c = test::random_floats(static_cast<size_t>(dims) / 2, 2, 1.0F);
      const auto s = test::random_floats(static_cast<size_t>(dims) / 2, 3, 1.0F);
      generic().rope(a.data(), c.data(), s.data(), 3, dims, neox);
      table().rope(b.data(), c.data(), s.data(), 3, dims, neox);
      EXPECT_TRUE(same(a, b)) << dims;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, IsaTest, testing::ValuesIn(tables()),
                         [](const auto& i) { return std::string(i.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IsaTest);

}  // namespace
}  // namespace concerto::kernels
