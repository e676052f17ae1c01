#include <algorithm>
#include <cmath>

#include "kernels/generic/generic.h"
#include "kernels/generic/lanes.h"
#include "kernels/math.h"

namespace concerto::kernels::generic {
namespace {

// One query head of one token; `visible` positions.
void attend(const AttentionJob& job, const float* q_in, int visible, float* out) {
  const int dims = job.head_dim;
  uint16_t q[256];
  float o[256] = {};
  const float scale2 = job.scale * kLog2E;
  for (int k = 0; k < dims; ++k) q[k] = to_bf16(q_in[k] * scale2);
  float m = -INFINITY;
  float l = 0;
  for (int first = 0; first < visible; first += kKvBlockTokens) {
    const int n = std::min(kKvBlockTokens, visible - first);
    const uint16_t* block = job.kv + static_cast<size_t>(job.blocks[first / kKvBlockTokens]) * job.block_values;
    const uint16_t* k_tile = block + job.k_offset;
    const uint16_t* v_tile = block + job.v_offset;
    float s[kKvBlockTokens];
    float block_max = m;
    for (int p = 0; p < n; ++p) {
      float acc = 0;
      for (int j = 0; j < dims / 2; ++j) {
        const uint16_t* k = k_tile + (static_cast<size_t>(j) * kKvBlockTokens + p) * 2;
        acc = fma_f32(bf16_to_float(q[2 * j + 1]), bf16_to_float(k[1]), acc);
        acc = fma_f32(bf16_to_float(q[2 * j]), bf16_to_float(k[0]), acc);
      }
      s[p] = acc;
      block_max = std::max(block_max, s[p]);
    }
    const float c = exp2_neg(m - block_max);
    m = block_max;
    float w[kKvBlockTokens] = {};
    Lanes lanes;
    for (int p = 0; p < n; ++p) w[p] = bf16_to_float(to_bf16(exp2_neg(s[p] - m)));
    for (int p = 0; p < kKvBlockTokens; ++p) lanes.v[p % 16] += w[p];
    l = fma_f32(l, c, lanes.sum());
    for (int k = 0; k < dims; ++k) {
      float b = 0;
      for (int p = 0; p < n; p += 2) {
        const uint16_t* v = v_tile + (static_cast<size_t>(p / 2) * dims + k) * 2;
        if (p + 1 < n) b = fma_f32(w[p + 1], bf16_to_float(v[1]), b);
        b = fma_f32(w[p], bf16_to_float(v[0]), b);
      }
      o[k] = fma_f32(o[k], c, b);
    }
  }
  for (int k = 0; k < dims; ++k) out[k] = o[k] / l;
}

}  // namespace

void attention(const AttentionJob& job) noexcept {
  for (int i = 0; i < job.queries; ++i) {
    for (int h = 0; h < job.group; ++h) {
      const ptrdiff_t head = static_cast<ptrdiff_t>(h) * job.head_dim;
      attend(job, job.q + i * job.q_stride + head, job.first_position + i + 1, job.out + i * job.out_stride + head);
    }
  }
}

}  // namespace concerto::kernels::generic
