#include <algorithm>

#include "base/check.h"
#include "kernels/generic/generic.h"
#include "kernels/math.h"
#include "kernels/pack.h"
#include "kernels/pack/panel_row.h"

namespace concerto::kernels::generic {
namespace {

int dot(const uint8_t* w, int offset, const int8_t* q, int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += (static_cast<int>(w[i]) - offset) * q[i];
  return sum;
}

// y after one packed block of a type with a scale per 32 columns.
float add_block32(const RowBlock& b, int columns, const int8_t* q, const float* scales, const float* float_sums,
                  float y) {
  for (int s = 0; s < columns / 32; ++s) {
    const auto products = static_cast<float>(dot(b.q + s * 32, b.offset, q + s * 32, 32));
    y = fma_f32(products * scales[s], b.d[s], y);
    if (b.has_min) y = fma_f32(b.m[s], float_sums[s], y);
  }
  return y;
}

// The value a of pack.h: a K type's block before the activations' scale.
float super_value(const RowBlock& b, int columns, const int8_t* q, const int16_t* sums) {
  const int n = columns / b.scale_columns;
  int weighted = 0;
  for (int s = 0; s < n; ++s) {
    const int c = s * b.scale_columns;
    weighted += b.scale[s] * dot(b.q + c, b.offset, q + c, b.scale_columns);
  }
  float a = static_cast<float>(weighted) * b.d_all;
  if (b.has_min) {
    int mins = 0;
    for (int s = 0; s < n; ++s) mins += b.min[s] * sums[s];
    a = fma_f32(-static_cast<float>(mins), b.dmin, a);
  }
  return a;
}

}  // namespace

void matmul(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
            ptrdiff_t out_stride) noexcept {
  const int q_stride = Activations::q_stride(w.cols);
  const int blocks = Activations::blocks(w.cols, kQuantBlock);
  const int x_blocks = Activations::blocks(w.cols, x.block);
  const bool int8 = uses_int8(w.type);
  CHECK(!int8 || x.block == activation_block(w.type));
  const int row_end = std::min(panel_end * kPanelRows, w.rows);
  for (int row = panel_begin * kPanelRows; row < row_end; ++row) {
    const std::byte* block = w.data + static_cast<size_t>(row / kPanelRows) * panel_bytes(w.type, w.cols);
    for (int t = 0; t < x.tokens; ++t) out[t * out_stride + row] = 0;
    for (int b = 0; b < blocks; ++b) {
      const int column = b * kQuantBlock;
      const int columns = std::min(kQuantBlock, w.cols - column);
      RowBlock rb;
      float plain[kQuantBlock] = {};
      if (int8) {
        read_row_block(w.type, block, columns, row % kPanelRows, &rb);
      } else {
        for (int k = 0; k < columns; ++k) plain[k] = read_plain(w.type, block, k, row % kPanelRows);
      }
      for (int t = 0; t < x.tokens; ++t) {
        float& y = out[t * out_stride + row];
        const auto token = static_cast<size_t>(t);
        const int8_t* q = x.q + token * q_stride + column;
        const size_t sums = token * (q_stride / kSumBlock) + column / kSumBlock;
        const float* scales = x.scales + token * x_blocks + column / x.block;
        if (int8 && !rb.super) {
          y = add_block32(rb, columns, q, scales, x.float_sums + sums, y);
        } else if (int8) {
          y = fma_f32(super_value(rb, columns, q, x.sums + sums), *scales, y);
        } else {
          const float* v = x.f32 + token * static_cast<size_t>(w.cols) + column;
          float a = 0;
          for (int k = 0; k < columns; ++k) a = fma_f32(plain[k], v[k], a);
          y = y + a;
        }
      }
      block += panel_block_bytes(w.type, columns);
    }
  }
}

}  // namespace concerto::kernels::generic
