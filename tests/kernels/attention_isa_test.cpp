// Attention of every vector table against generic, bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "kernels/kernels.h"
#include "kernels/math.h"
#include "kernels/test_data.h"

namespace concerto::kernels {
namespace {

// A pool with one sequence of `positions` tokens in shuffled blocks, every unwritten byte 0xFF (NaN).
struct Sequence {
  KvLayout layout;
  test::Aligned pool;
  std::vector<int32_t> blocks;

  Sequence(const KernelTable& table, int dims, int positions, float spread)
      : layout{2, 2, dims}, pool(static_cast<size_t>(positions / 64 + 2) * layout.block_bytes()) {
    std::memset(pool.data(), 0xFF, pool.size());
    const int count = positions / 64 + 1;
    for (int i = 0; i < count; ++i) blocks.push_back(count - i);
    const auto n = static_cast<size_t>(positions) * static_cast<size_t>(dims);
    const auto k = test::random_floats(n, 31, spread);
    const auto v = test::random_floats(n, 32, spread);
    for (int p = 0; p < positions; ++p) {
      uint16_t* block = values() + static_cast<size_t>(blocks[p / 64]) * layout.block_values();
      table.store_kv(&k[static_cast<size_t>(p) * dims], &v[static_cast<size_t>(p) * dims], dims, p % 64,
                     block + layout.k_offset(1, 1), block + layout.v_offset(1, 1));
    }
  }
  [[nodiscard]] uint16_t* values() const { return reinterpret_cast<uint16_t*>(pool.data()); }

  [[nodiscard]] std::vector<float> attend(const KernelTable& table, const std::vector<float>& q, int queries, int group,
                                          int first_position) const {
    std::vector<float> out(q.size(), 9.0F);
    const AttentionJob job{q.data(),
                           static_cast<ptrdiff_t>(group) * layout.head_dim,
                           out.data(),
                           static_cast<ptrdiff_t>(group) * layout.head_dim,
                           queries,
                           group,
                           layout.head_dim,
                           first_position,
                           1.0F / std::sqrt(static_cast<float>(layout.head_dim)),
                           values(),
                           layout.block_values(),
                           layout.k_offset(1, 1),
                           layout.v_offset(1, 1),
                           blocks.data()};
    table.attention(job);
    return out;
  }
};

class AttentionIsaTest : public testing::TestWithParam<const char*> {
 protected:
  const KernelTable& generic() { return *find_table("generic"); }
  const KernelTable& table() { return *find_table(GetParam()); }
};

testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (bits_of(a[i]) != bits_of(b[i]) || std::isnan(a[i])) {
      return testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

std::vector<const char*> tables() {
  std::vector<const char*> out;
  for (const char* name : {"avx2", "avx512", "neon"}) {
    if (find_table(name) != nullptr) out.push_back(name);
  }
  return out;
}

TEST_P(AttentionIsaTest, EqualsGeneric) {
  for (const int dims : {16, 64, 80, 128}) {
    for (const int positions : {1, 2, 63, 64, 65, 131, 200}) {
      const Sequence s(table(), dims, positions, 1.5F);
      for (const int group : {1, 3, 6, 7}) {
        const int queries = positions < 11 ? positions : 11;
        const auto q = test::random_floats(static_cast<size_t>(queries) * group * dims, 41, 2.0F);
        const auto expected = s.attend(generic(), q, queries, group, positions - queries);
        EXPECT_TRUE(same_bits(expected, s.attend(table(), q, queries, group, positions - queries)))
            << "dims " << dims << " positions " << positions << " group " << group;
      }
    }
  }
}

TEST_P(AttentionIsaTest, AQuerysResultIsIndependentOfTheChunk) {
  const int dims = 64;
  const int group = 3;
  const Sequence s(table(), dims, 150, 1.0F);
  const auto q = test::random_floats(150UL * group * dims, 5, 1.0F);
  const auto whole = s.attend(table(), q, 150, group, 0);
  for (int t = 0; t < 150; ++t) {
    const size_t n = static_cast<size_t>(group) * dims;
    const std::vector<float> one(q.begin() + t * static_cast<ptrdiff_t>(n),
                                 q.begin() + (t + 1) * static_cast<ptrdiff_t>(n));
    const auto alone = s.attend(table(), one, 1, group, t);
    EXPECT_TRUE(same_bits(
        alone, {whole.begin() + t * static_cast<ptrdiff_t>(n), whole.begin() + (t + 1) * static_cast<ptrdiff_t>(n)}))
        << t;
  }
}

TEST_P(AttentionIsaTest, ExtremeScoresStayFinite) {
  for (const float spread : {1e-30F, 60.0F, 1e4F, 1e30F}) {
    const Sequence s(table(), 64, 100, spread);
    auto q = test::random_floats(4UL * 2 * 64, 6, spread);
    q[3] = NAN;
    q[70] = INFINITY;
    EXPECT_TRUE(same_bits(s.attend(generic(), q, 4, 2, 96), s.attend(table(), q, 4, 2, 96))) << spread;
  }
}

TEST_P(AttentionIsaTest, StoreKvWritesTheSameTiles) {
  const Sequence a(generic(), 80, 130, 3.0F);
  const Sequence b(table(), 80, 130, 3.0F);
  EXPECT_EQ(std::memcmp(a.pool.data(), b.pool.data(), a.pool.size()), 0);
}

INSTANTIATE_TEST_SUITE_P(Tables, AttentionIsaTest, testing::ValuesIn(tables()),
                         [](const auto& i) { return std::string(i.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(AttentionIsaTest);

}  // namespace
}  // namespace concerto::kernels
