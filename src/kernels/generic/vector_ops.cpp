#include <cmath>
#include <cstring>

#include "kernels/generic/generic.h"
#include "kernels/generic/lanes.h"
#include "kernels/math.h"

namespace concerto::kernels::generic {
namespace {

bool is_wide(const int8_t* q, int columns) {
  for (int first = 0; first < columns; first += 16) {
    int sum = 0;
    for (int i = first; i < first + 16; ++i) sum += q[i] < 0 ? -q[i] : q[i];
    if (sum > Activations::kNarrowSum) return true;
  }
  return false;
}

// q of one block; see Activations.
void quantize_block(const float* x, int columns, int8_t* q, float* scale) {
  uint32_t amax_bits = 0;  // as bits, so that a NaN is the largest of all
  for (int i = 0; i < columns; ++i) {
    const uint32_t magnitude = bits_of(x[i]) & 0x7FFFFFFFU;
    if (magnitude > amax_bits) amax_bits = magnitude;
  }
  const float amax = float_of(amax_bits);
  if (amax < kQuantTiny) {
    std::memset(q, 0, static_cast<size_t>(columns));
    *scale = 0;
    return;
  }
  *scale = amax / 127.0F;
  const float inverse = 127.0F / amax;
  for (int i = 0; i < columns; ++i) {
    const float v = x[i] * inverse;
    // v is NaN only when amax is NaN or inf; |v| <= 127.00001
    q[i] = v == v ? static_cast<int8_t>((v + kRoundMagic) - kRoundMagic) : static_cast<int8_t>(0);
  }
}

}  // namespace

void quantize(const Activations& x, int row_begin, int row_end) noexcept {
  const int stride = Activations::q_stride(x.cols);
  const int blocks = Activations::blocks(x.cols, x.block);
  for (int t = row_begin; t < row_end; ++t) {
    const auto token = static_cast<size_t>(t);
    const float* row = x.f32 + token * static_cast<size_t>(x.cols);
    int8_t* q = x.q + token * stride;
    for (int b = 0; b < blocks; ++b) {
      const int column = b * x.block;
      const int columns = x.cols - column < x.block ? x.cols - column : x.block;
      quantize_block(row + column, columns, q + column, x.scales + token * blocks + b);
      if (x.block == kQuantBlock) x.wide[token * blocks + b] = is_wide(q + column, columns) ? 1 : 0;
    }
    for (int i = x.cols; i < stride; ++i) q[i] = 0;
    for (int s = 0; s < stride / kSumBlock; ++s) {
      const int column = s * kSumBlock;
      int halves[2] = {};
      for (int i = 0; i < kSumBlock; ++i) halves[i / 16] += q[s * kSumBlock + i];
      const int sum = halves[0] + halves[1];
      const size_t at = token * (stride / kSumBlock) + s;
      x.offsets16[2 * at] = -32 * halves[0];
      x.offsets16[2 * at + 1] = -32 * halves[1];
      x.sums[at] = static_cast<int16_t>(sum);
      x.neg_sums[at] = -sum;
      x.float_sums[at] = column < x.cols ? x.scales[token * blocks + column / x.block] * static_cast<float>(sum) : 0.0F;
    }
  }
}

void rms_norm(const float* x, const float* weight, float eps, int n, float* out) noexcept {
  Lanes lanes;
  for (int i = 0; i < n; ++i) lanes.v[i % 16] = fma_f32(x[i], x[i], lanes.v[i % 16]);
  const float r = 1.0F / std::sqrt(lanes.sum() / static_cast<float>(n) + eps);
  for (int i = 0; i < n; ++i) out[i] = (x[i] * r) * weight[i];
}

void add(float* x, const float* y, int n) noexcept {
  for (int i = 0; i < n; ++i) x[i] += y[i];
}

void silu_mul(const float* gate, const float* up, int n, float* out) noexcept {
  for (int i = 0; i < n; ++i) out[i] = silu_f32(gate[i]) * up[i];
}

void rope(float* x, const float* cos, const float* sin, int heads, int head_dim, bool neox) noexcept {
  const int half = head_dim / 2;
  for (int h = 0; h < heads; ++h, x += head_dim) {
    for (int i = 0; i < half; ++i) {
      float& a = x[neox ? i : 2 * i];
      float& b = x[neox ? i + half : 2 * i + 1];
      const float a0 = a;
      const float b0 = b;
      a = fma_f32(a0, cos[i], -(b0 * sin[i]));
      b = fma_f32(a0, sin[i], b0 * cos[i]);
    }
  }
}

void store_kv(const float* k, const float* v, int head_dim, int slot, uint16_t* k_tile, uint16_t* v_tile) noexcept {
  for (int d = 0; d < head_dim; ++d) {
    k_tile[((d / 2) * kKvBlockTokens + slot) * 2 + d % 2] = to_bf16(k[d]);
    v_tile[((slot / 2) * head_dim + d) * 2 + slot % 2] = to_bf16(v[d]);
  }
}

float log_sum_exp(const float* x, int n) noexcept {
  float m = -INFINITY;
  for (int i = 0; i < n; ++i) m = x[i] > m ? x[i] : m;
  Lanes lanes;
  for (int i = 0; i < n; ++i) lanes.v[i % 16] += exp_f32(x[i] - m);
  return m + log_f32(lanes.sum());
}

}  // namespace concerto::kernels::generic
