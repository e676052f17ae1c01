// The bits themselves, on record: what each function returns for fixed inputs, as a hash, the same on every processor
// that Concerto is built for. Comparing tables with generic (isa_test.cpp) cannot see that generic itself moved, or
// that another architecture's compiler reads it in another way. A hash that has to change here is a change of
// arithmetic: the release notes must say so (docs/determinism.md).
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "kernels/kernels.h"
#include "kernels/math.h"
#include "kernels/test_data.h"

namespace concerto::kernels {
namespace {

// FNV-1a over the bits of floats.
class Hash {
 public:
  Hash& add(const std::vector<float>& values) {
    for (const float v : values) {
      for (int shift = 0; shift < 32; shift += 8) {
        hash_ = (hash_ ^ (bits_of(v) >> shift & 255U)) * 0x100000001B3U;
      }
    }
    return *this;
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[hash_ >> shift & 15U];
    return out;
  }

 private:
  uint64_t hash_ = 0xCBF29CE484222325U;
};

// Multiples of 2^-20 in [-spread, spread): whole numbers of a generator that the standard fixes, no library's
// logarithm.
std::vector<float> exact_floats(size_t n, uint64_t seed, int spread) {
  std::mt19937_64 rng(seed);
  std::vector<float> out(n);
  for (float& v : out) {
    const auto i = static_cast<int32_t>(rng() % (static_cast<uint64_t>(spread) << 21U)) - (spread << 20);
    v = static_cast<float>(i) * 0x1p-20F;
  }
  return out;
}

std::vector<const char*> tables() {
  std::vector<const char*> out;
  for (const char* name : {"generic", "avx2", "avx512", "neon"}) {
    if (find_table(name) != nullptr) out.push_back(name);
  }
  return out;
}

class Fingerprint : public testing::TestWithParam<const char*> {
 protected:
  const KernelTable& table() { return *find_table(GetParam()); }
};

TEST_P(Fingerprint, Matmul) {
  struct Expected {
    base::TensorType type;
    const char* hash;
  };
  const Expected all[] = {
      {base::TensorType::kF32, "3a3cc350a240dff4"},  {base::TensorType::kF16, "0ea1cb5323ecb399"},
      {base::TensorType::kBF16, "dc406c175e7e6b48"}, {base::TensorType::kQ4_0, "c8a85e0d81518a54"},
      {base::TensorType::kQ4_1, "e18cf9704fe607ae"}, {base::TensorType::kQ5_0, "82bb237725a21dd2"},
      {base::TensorType::kQ5_1, "0fc7425d52ddc960"}, {base::TensorType::kQ8_0, "2cd614f5bcedfcb8"},
      {base::TensorType::kQ4_K, "8ab6aab060345a77"}, {base::TensorType::kQ5_K, "fb503e0547e20a13"},
      {base::TensorType::kQ6_K, "c7ad4e66bae21c9f"},
  };
  for (const Expected& e : all) {
    const int cols = base::geometry(e.type).block_weights == 256 ? 512 : 576;
    const test::Matrix m(e.type, 37, cols, 11);
    const test::Inputs in(table(), exact_floats(3UL * cols, 12, 4), 3, cols, activation_block(e.type));
    std::vector<float> out(3UL * 37);
    table().matmul(m.view, in.x, 0, m.view.panels(), out.data(), 37);
    EXPECT_EQ(Hash().add(out).text(), e.hash) << base::geometry(e.type).name;
  }
}

TEST_P(Fingerprint, VectorFunctions) {
  constexpr int kN = 577;
  const auto x = exact_floats(kN, 1, 20);
  const auto y = exact_floats(kN, 2, 3);
  std::vector<float> out(kN);
  table().rms_norm(x.data(), y.data(), 1e-6F, kN, out.data());
  EXPECT_EQ(Hash().add(out).text(), "e408eecf571d53ea") << "rms_norm";
  table().silu_mul(x.data(), y.data(), kN, out.data());
  EXPECT_EQ(Hash().add(out).text(), "761e35064fa85263") << "silu_mul";
  EXPECT_EQ(Hash().add({table().log_sum_exp(x.data(), kN)}).text(), "0bfdb96b3fac78e3") << "log_sum_exp";
  for (const bool neox : {false, true}) {
    auto heads = exact_floats(6UL * 80, 3, 2);
    table().rope(heads.data(), x.data(), y.data(), 6, 80, neox);
    EXPECT_EQ(Hash().add(heads).text(), neox ? "dd0d6d485f3c1fae" : "b911514829ab3082") << "rope " << neox;
  }
}

TEST_P(Fingerprint, Attention) {
  constexpr int kDims = 64;
  constexpr int kPositions = 150;
  constexpr int kQueries = 5;
  constexpr int kGroup = 3;
  const KvLayout layout{1, 1, kDims};
  const test::Aligned pool(3 * layout.block_bytes());
  auto* kv = reinterpret_cast<uint16_t*>(pool.data());
  const auto k = exact_floats(static_cast<size_t>(kPositions) * kDims, 4, 2);
  const auto v = exact_floats(static_cast<size_t>(kPositions) * kDims, 5, 2);
  const auto q = exact_floats(static_cast<size_t>(kQueries) * kGroup * kDims, 6, 2);
  const int32_t blocks[] = {2, 0, 1};
  for (int p = 0; p < kPositions; ++p) {
    uint16_t* block = kv + static_cast<size_t>(blocks[p / 64]) * layout.block_values();
    table().store_kv(&k[static_cast<size_t>(p) * kDims], &v[static_cast<size_t>(p) * kDims], kDims, p % 64,
                     block + layout.k_offset(0, 0), block + layout.v_offset(0, 0));
  }
  std::vector<float> out(q.size());
  AttentionJob job;
  job.q = q.data();
  job.out = out.data();
  job.q_stride = job.out_stride = static_cast<ptrdiff_t>(kGroup) * kDims;
  job.queries = kQueries;
  job.group = kGroup;
  job.head_dim = kDims;
  job.first_position = kPositions - kQueries;
  job.scale = 0.125F;
  job.kv = kv;
  job.block_values = layout.block_values();
  job.k_offset = layout.k_offset(0, 0);
  job.v_offset = layout.v_offset(0, 0);
  job.blocks = blocks;
  table().attention(job);
  EXPECT_EQ(Hash().add(out).text(), "c28805a79a8fe31e");
}

// A sum in another order is often the same float, or the same after the root: many of them leave no doubt.
TEST_P(Fingerprint, ManySums) {
  constexpr int kN = 160;
  const std::vector<float> ones(kN, 1.0F);
  Hash norms;
  Hash sums;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto x = exact_floats(kN, seed, 9);
    std::vector<float> out(kN);
    table().rms_norm(x.data(), ones.data(), 1e-6F, kN, out.data());
    norms.add(out);
    sums.add({table().log_sum_exp(x.data(), kN)});
  }
  EXPECT_EQ(norms.text(), "b7ab7c3741af5cfa") << "rms_norm";
  EXPECT_EQ(sums.text(), "4eb2f25d7b12d125") << "log_sum_exp";
}

INSTANTIATE_TEST_SUITE_P(Tables, Fingerprint, testing::ValuesIn(tables()),
                         [](const auto& i) { return std::string(i.param); });

}  // namespace
}  // namespace concerto::kernels
