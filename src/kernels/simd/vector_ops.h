// The element-wise and reducing functions of the kernel table, written once for every vector ISA on 16 virtual lanes.
// W (wide) gives vectors W::F of 16 floats, in one, two or four registers. Meanings: generic/vector_ops.cpp and math.h.
// Included by files built with ISA flags: no std templates, everything a template over W.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"
#include "kernels/simd/inline.h"

namespace concerto::kernels::simd {

template <class W>
CONCERTO_FORCE_INLINE typename W::F exp_lanes(typename W::F x) noexcept {
  using F = typename W::F;
  const F magic = W::set(kRoundMagic);  // fused with the product, as exp_f32 says: not round_even of a rounded product
  const F n = W::sub_f(W::fma(x, W::set(kLog2E), magic), magic);
  F r = W::fma(n, W::set(-kLn2High), x);
  r = W::fma(n, W::set(-kLn2Low), r);
  F p = W::fma(W::set(kExpPoly[4]), r, W::set(kExpPoly[3]));
  p = W::fma(p, r, W::set(kExpPoly[2]));
  p = W::fma(p, r, W::set(kExpPoly[1]));
  p = W::fma(p, r, W::set(kExpPoly[0]));
  p = W::add_f(W::fma(p, W::mul_f(r, r), r), W::set(1.0F));
  F y = W::times_pow2(p, n);
  y = W::if_less(x, W::set(kExpLow), W::zero_f(), y);
  y = W::if_less(W::set(kExpHigh), x, W::set(__builtin_inff()), y);
  return W::if_nan(x, x, y);
}

template <class W>
CONCERTO_FORCE_INLINE typename W::F exp2_neg_lanes(typename W::F x) noexcept {
  using F = typename W::F;
  const F n = W::round_even(x);
  const F f = W::sub_f(x, n);
  F p = W::fma(W::set(kExp2Poly[3]), f, W::set(kExp2Poly[2]));
  p = W::fma(p, f, W::set(kExp2Poly[1]));
  p = W::fma(p, f, W::set(kExp2Poly[0]));
  p = W::fma(p, f, W::set(1.0F));
  return W::times_pow2_above(p, n, x, W::set(kExp2Low));
}

// The quants of `columns` columns that share a scale, and that scale.
template <class W>
CONCERTO_FORCE_INLINE float quantize_block(const float* x, int columns, int8_t* q) noexcept {
  typename W::Bits magnitude = W::zero_bits();
  for (int i = 0; i < columns; i += 16) magnitude = W::max_bits(magnitude, W::magnitude_bits(x + i));
  const float amax = float_of(W::max_of_bits(magnitude));
  const bool zero = amax < kQuantTiny;  // then x * 0 rounds to 0
  const auto inverse = W::set(zero ? 0.0F : 127.0F / amax);
  if (amax <= __FLT_MAX__) {
    for (int i = 0; i < columns; i += 16) W::store_rounded_bytes(q + i, W::mul_f(W::load_f(x + i), inverse));
  } else {
    for (int i = 0; i < columns; i += 16) {
      const auto v = W::mul_f(W::load_f(x + i), inverse);
      W::store_rounded_bytes(q + i, W::if_nan(v, W::zero_f(), v));
    }
  }
  return zero ? 0.0F : amax / 127.0F;
}

template <class W, int kBlock>
CONCERTO_FORCE_INLINE void quantize_rows(const Activations& x, int row_begin, int row_end) noexcept {
  const int stride = Activations::q_stride(x.cols);
  const int subs = stride / kSumBlock;
  const int blocks = Activations::blocks(x.cols, kBlock);
  for (int t = row_begin; t < row_end; ++t) {
    const ptrdiff_t token = t;
    const float* row = x.f32 + token * x.cols;
    int8_t* q = x.q + token * stride;
    float* scales = x.scales + token * blocks;
    for (int b = 0; b < blocks; ++b) {
      const int column = b * kBlock;
      const int columns = x.cols - column < kBlock ? x.cols - column : kBlock;
      scales[b] = quantize_block<W>(row + column, columns, q + column);
    }
    for (int i = x.cols; i < stride; ++i) q[i] = 0;
    if (kBlock == kQuantBlock) {
      for (int b = 0; b < blocks; ++b) {
        typename W::Bits most = W::zero_bits();
        const int end = (b + 1) * kQuantBlock < stride ? (b + 1) * kQuantBlock : stride;
        for (int i = b * kQuantBlock; i < end; i += 64) most = W::max_bits(most, W::magnitudes_of_16s(q + i));
        x.wide[token * blocks + b] = W::max_of_bits(most) > static_cast<uint32_t>(Activations::kNarrowSum) ? 1 : 0;
      }
    }
    for (int s = 0; s < subs; s += 2) {
      int32_t sixteens[4];
      W::sums_of_16s(q + static_cast<ptrdiff_t>(s) * kSumBlock, sixteens);
      const ptrdiff_t at = token * subs + s;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) x.offsets16[2 * at + i] = -32 * sixteens[i];
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const int32_t sum = sixteens[2 * i] + sixteens[2 * i + 1];
        const int column = (s + i) * kSumBlock;
        x.sums[at + i] = static_cast<int16_t>(sum);
        x.neg_sums[at + i] = -sum;
        x.float_sums[at + i] = column < x.cols ? scales[column / kBlock] * static_cast<float>(sum) : 0.0F;
      }
    }
  }
}

template <class W>
void quantize(const Activations& x, int row_begin, int row_end) noexcept {
  if (x.block == kSumBlock) return quantize_rows<W, kSumBlock>(x, row_begin, row_end);
  quantize_rows<W, kQuantBlock>(x, row_begin, row_end);
}

template <class W>
void rms_norm(const float* x, const float* weight, float eps, int n, float* out) noexcept {
  typename W::F sum = W::zero_f();
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    const auto v = W::load_f(x + i);
    sum = W::fma(v, v, sum);
  }
  if (i < n) {
    const auto v = W::load_first(x + i, n - i);
    sum = W::fma(v, v, sum);
  }
  const float r = 1.0F / W::sqrt_scalar(W::sum16(sum) / static_cast<float>(n) + eps);
  const auto factor = W::set(r);
  for (i = 0; i + 16 <= n; i += 16) {
    W::store_f(out + i, W::mul_f(W::mul_f(W::load_f(x + i), factor), W::load_f(weight + i)));
  }
  for (; i < n; ++i) out[i] = (x[i] * r) * weight[i];
}

template <class W>
void add(float* x, const float* y, int n) noexcept {
  int i = 0;
  for (; i + 16 <= n; i += 16) W::store_f(x + i, W::add_f(W::load_f(x + i), W::load_f(y + i)));
  for (; i < n; ++i) x[i] += y[i];
}

template <class W>
CONCERTO_FORCE_INLINE typename W::F silu_mul_lanes(typename W::F gate, typename W::F up) noexcept {
  const auto one = W::set(1.0F);
  return W::mul_f(W::div_f(gate, W::add_f(one, exp_lanes<W>(W::negate_f(gate)))), up);
}

template <class W>
void silu_mul(const float* gate, const float* up, int n, float* out) noexcept {
  int i = 0;
  for (; i + 16 <= n; i += 16) W::store_f(out + i, silu_mul_lanes<W>(W::load_f(gate + i), W::load_f(up + i)));
  if (i < n) {
    W::store_first(out + i, silu_mul_lanes<W>(W::load_first(gate + i, n - i), W::load_first(up + i, n - i)), n - i);
  }
}

template <class W>
void rope(float* x, const float* cos, const float* sin, int heads, int head_dim, bool neox) noexcept {
  const int half = head_dim / 2;
  for (int h = 0; h < heads; ++h, x += head_dim) {
    int i = 0;
    if (neox) {
      for (; i + 16 <= half; i += 16) {
        const auto a = W::load_f(x + i);
        const auto b = W::load_f(x + i + half);
        const auto c = W::load_f(cos + i);
        const auto s = W::load_f(sin + i);
        W::store_f(x + i, W::fma(a, c, W::negate_f(W::mul_f(b, s))));
        W::store_f(x + i + half, W::fma(a, s, W::mul_f(b, c)));
      }
    }
    for (; i < half; ++i) {
      float& a = x[neox ? i : 2 * i];
      float& b = x[neox ? i + half : 2 * i + 1];
      const float a0 = a;
      const float b0 = b;
      a = fma_f32(a0, cos[i], -(b0 * sin[i]));
      b = fma_f32(a0, sin[i], b0 * cos[i]);
    }
  }
}

template <class W>
void store_kv(const float* k, const float* v, int head_dim, int slot, uint16_t* k_tile, uint16_t* v_tile) noexcept {
  uint16_t* k_out = k_tile + static_cast<ptrdiff_t>(slot) * 2;
  uint16_t* v_out = v_tile + static_cast<ptrdiff_t>(slot / 2) * head_dim * 2 + slot % 2;
  for (int d = 0; d < head_dim; d += 16) {
    alignas(32) uint16_t kb[16];
    alignas(32) uint16_t vb[16];
    W::store_bf16(kb, W::load_f(k + d));
    W::store_bf16(vb, W::load_f(v + d));
    for (int i = 0; i < 16; i += 2) {
      k_out[(d + i) * kKvBlockTokens] = kb[i];
      k_out[(d + i) * kKvBlockTokens + 1] = kb[i + 1];
    }
    for (int i = 0; i < 16; ++i) v_out[(d + i) * 2] = vb[i];
  }
}

template <class W>
float log_sum_exp(const float* x, int n) noexcept {
  auto m = W::set(-__builtin_inff());
  int i = 0;
  for (; i + 16 <= n; i += 16) m = W::max_f(W::load_f(x + i), m);
  float best = W::max16(m);
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  const auto offset = W::set(best);
  typename W::F sum = W::zero_f();
  for (i = 0; i + 16 <= n; i += 16) sum = W::add_f(sum, exp_lanes<W>(W::sub_f(W::load_f(x + i), offset)));
  if (i < n) sum = W::add_f(sum, W::first(exp_lanes<W>(W::sub_f(W::load_first(x + i, n - i), offset)), n - i));
  return best + log_f32(W::sum16(sum));
}

}  // namespace concerto::kernels::simd
