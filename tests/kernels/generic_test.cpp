// The generic table against straightforward double-precision mathematics.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/math.h"
#include "kernels/test_data.h"

namespace concerto::kernels {
namespace {

const KernelTable& generic() { return *find_table("generic"); }

TEST(Math, ExpIsAccurate) {
  for (float x = -87.0F; x < 88.7F; x += 0.0137F) {
    const double expected = std::exp(static_cast<double>(x));
    EXPECT_NEAR(exp_f32(x) / expected, 1.0, 2e-7) << x;
  }
  EXPECT_EQ(exp_f32(0.0F), 1.0F);
  EXPECT_EQ(exp_f32(-INFINITY), 0.0F);
  EXPECT_EQ(exp_f32(100.0F), INFINITY);
  EXPECT_TRUE(std::isnan(exp_f32(NAN)));
}

TEST(Math, Exp2NegIsAccurateAndFlushes) {
  for (float x = -47.9F; x <= 0.0F; x += 0.0071F)
    EXPECT_NEAR(exp2_neg(x) / std::exp2(static_cast<double>(x)), 1.0, 1e-5);
  EXPECT_EQ(exp2_neg(0.0F), 1.0F);
  EXPECT_EQ(exp2_neg(-48.1F), 0.0F);
  EXPECT_EQ(exp2_neg(-INFINITY), 0.0F);
}

TEST(Math, LogIsAccurate) {
  for (float x = 1e-30F; x < 1e30F; x *= 1.37F) EXPECT_NEAR(log_f32(x), std::log(static_cast<double>(x)), 5e-6) << x;
  EXPECT_EQ(log_f32(1.0F), 0.0F);
}

TEST(Math, HalfToFloatCoversEveryPattern) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const int e = static_cast<int>(h >> 10) & 31;
    const int mantissa = static_cast<int>(h & 1023U);
    const float got = half_to_float(static_cast<uint16_t>(h));
    if (e == 31 && mantissa != 0) {
      EXPECT_TRUE(std::isnan(got));
      continue;
    }
    const double magnitude = e == 31  ? INFINITY
                             : e == 0 ? std::ldexp(mantissa, -24)
                                      : std::ldexp(1024 + mantissa, e - 25);
    EXPECT_EQ(got, (h & 0x8000U) != 0 ? -magnitude : magnitude);
  }
}

TEST(Math, ToBf16RoundsToEvenFlushesAndClamps) {
  EXPECT_EQ(to_bf16(1.0F), 0x3F80);
  EXPECT_EQ(to_bf16(float_of(0x3F808000U)), 0x3F80);  // tie to even
  EXPECT_EQ(to_bf16(float_of(0x3F818000U)), 0x3F82);
  EXPECT_EQ(to_bf16(float_of(0x3F808001U)), 0x3F81);
  EXPECT_EQ(to_bf16(0x1p-49F), 0);
  EXPECT_EQ(to_bf16(NAN), 0);
  EXPECT_EQ(bf16_to_float(to_bf16(-INFINITY)), -0x1p59F);
}

TEST(Quantize, RoundsToNearestWithOneScaleABlock) {
  const int cols = 576;
  for (const int block : {32, 256}) {
    const test::Inputs in(generic(), test::random_floats(cols * 2, 1), 2, cols, block);
    for (int t = 0; t < 2; ++t) {
      const float* scales = in.x.scales + t * Activations::blocks(cols, block);
      const int8_t* q = in.x.q + t * Activations::q_stride(cols);
      for (int c = 0; c < cols; ++c) {
        EXPECT_LE(std::abs(in.f32[t * cols + c] / scales[c / block] - static_cast<float>(q[c])), 0.5001F);
        EXPECT_LE(std::abs(q[c]), 127);
      }
      for (int b = 0; b < Activations::blocks(cols, block); ++b) {
        const int end = std::min(cols, (b + 1) * block);
        const auto full = [](int8_t v) { return std::abs(v) == 127; };  // each block uses the whole range
        EXPECT_TRUE(std::any_of(q + b * block, q + end, full)) << "block " << b << " of " << block;
      }
      for (int s = 0; s < cols / 32; ++s) {
        const size_t at = t * (Activations::q_stride(cols) / 32) + s;
        int sum = 0;
        for (int i = 0; i < 32; ++i) sum += q[s * 32 + i];
        EXPECT_EQ(in.x.sums[at], sum);
        EXPECT_EQ(in.x.neg_sums[at], -sum);
        EXPECT_EQ(in.x.float_sums[at], scales[s * 32 / block] * static_cast<float>(sum));
      }
    }
  }
}

TEST(Matmul, AgreesWithDoublePrecisionOfTheQuantisedInputs) {
  for (const auto& g : base::kTensorGeometries) {
    const int cols = g.block_weights == 256 ? 512 : 576;
    const int rows = 21;
    const test::Matrix m(g.type, rows, cols, 5);
    const test::Inputs in(generic(), test::random_floats(cols * 3, 2), 3, cols, activation_block(g.type));
    std::vector<float> out(3 * rows);
    generic().matmul(m.view, in.x, 0, m.view.panels(), out.data(), rows);
    std::vector<float> w(cols);
    for (int r = 0; r < rows; ++r) {
      unpack_row(m.view, r, w.data());
      for (int t = 0; t < 3; ++t) {
        double sum = 0;
        double size = 0;
        for (int c = 0; c < cols; ++c) {
          double x = in.f32[t * cols + c];
          if (uses_int8(g.type)) {
            x = static_cast<double>(in.x.q[t * Activations::q_stride(cols) + c]) *
                in.x.scales[t * Activations::blocks(cols, in.x.block) + c / in.x.block];
          }
          sum += w[c] * x;
          size += std::abs(w[c] * x);
        }
        EXPECT_NEAR(out[t * rows + r], sum, 1e-6 * size + 1e-30) << g.name << " row " << r;
      }
    }
  }
}

TEST(Attention, AgreesWithDoublePrecision) {
  const int dims = 64;
  const int group = 3;
  const int positions = 150;
  const int queries = 5;
  const KvLayout layout{1, 1, dims};
  const test::Aligned pool(3 * layout.block_bytes());
  auto* kv = reinterpret_cast<uint16_t*>(pool.data());
  const auto k = test::random_floats(positions * dims, 1, 1.0F);
  const auto v = test::random_floats(positions * dims, 2, 1.0F);
  const auto q = test::random_floats(queries * group * dims, 3, 1.0F);
  const int32_t blocks[] = {2, 0, 1};
  for (int p = 0; p < positions; ++p) {
    uint16_t* block = kv + static_cast<size_t>(blocks[p / 64]) * layout.block_values();
    generic().store_kv(&k[p * dims], &v[p * dims], dims, p % 64, block + layout.k_offset(0, 0),
                       block + layout.v_offset(0, 0));
  }
  std::vector<float> out(q.size());
  AttentionJob job{q.data(),
                   group * dims,
                   out.data(),
                   group * dims,
                   queries,
                   group,
                   dims,
                   positions - queries,
                   0.125F,
                   kv,
                   layout.block_values(),
                   layout.k_offset(0, 0),
                   layout.v_offset(0, 0),
                   blocks};
  generic().attention(job);
  for (int i = 0; i < queries; ++i) {
    for (int h = 0; h < group; ++h) {
      const float* qh = &q[(i * group + h) * dims];
      std::vector<double> w(positions - queries + i + 1);
      double sum = 0;
      for (size_t p = 0; p < w.size(); ++p) {
        double s = 0;
        for (int d = 0; d < dims; ++d) s += static_cast<double>(qh[d]) * k[p * dims + d];
        sum += w[p] = std::exp(s * 0.125);
      }
      for (int d = 0; d < dims; ++d) {
        double o = 0;
        for (size_t p = 0; p < w.size(); ++p) o += w[p] / sum * v[p * dims + d];
        EXPECT_NEAR(out[(i * group + h) * dims + d], o, 0.02);
      }
    }
  }
}

TEST(LogSumExp, AgreesWithDoublePrecision) {
  const auto x = test::random_floats(1001, 4);
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v));
  EXPECT_NEAR(generic().log_sum_exp(x.data(), 1001), std::log(sum), 1e-5);
}

TEST(RmsNorm, AgreesWithDoublePrecision) {
  const auto x = test::random_floats(577, 6);
  const auto w = test::random_floats(577, 7);
  std::vector<float> out(577);
  generic().rms_norm(x.data(), w.data(), 1e-6F, 577, out.data());
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  const double r = 1.0 / std::sqrt(sum / 577 + 1e-6);
  for (int i = 0; i < 577; ++i) EXPECT_NEAR(out[i], x[i] * r * w[i], 1e-5);
}

TEST(Select, KnowsItsNames) {
  EXPECT_STREQ(find_table("generic")->name, "generic");
  EXPECT_EQ(find_table("mmx"), nullptr);
  EXPECT_NE(best_table().matmul, nullptr);
}

}  // namespace
}  // namespace concerto::kernels
