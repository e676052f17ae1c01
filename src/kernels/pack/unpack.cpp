#include <algorithm>

#include "kernels/pack.h"
#include "kernels/pack/panel_row.h"

namespace concerto::kernels {
namespace {

// The formats' own formulas, each operation rounded to float: d * (q - offset), d * q + m, (d sc) q - (dmin mn).
void unpack_block(const RowBlock& b, int columns, float* out) {
  for (int c = 0; c < columns; ++c) {
    const int s = c / b.scale_columns;
    const float q = static_cast<float>(static_cast<int>(b.q[c]) - b.offset);
    float v = 0;
    if (b.super) {
      v = (b.d_all * static_cast<float>(b.scale[s])) * q;
      if (b.has_min) v = v - b.dmin * static_cast<float>(b.min[s]);
    } else {
      v = b.d[s] * q;
      if (b.has_min) v = v + b.m[s];
    }
    out[c] = v;
  }
}

}  // namespace

void unpack_row(const PackedMatrix& w, int row, float* out) noexcept {
  const std::byte* block = w.data + static_cast<size_t>(row / kPanelRows) * panel_bytes(w.type, w.cols);
  const int r = row % kPanelRows;
  for (int column = 0; column < w.cols; column += kQuantBlock) {
    const int columns = std::min(kQuantBlock, w.cols - column);
    if (uses_int8(w.type)) {
      RowBlock b;
      read_row_block(w.type, block, columns, r, &b);
      unpack_block(b, columns, out + column);
    } else {
      for (int k = 0; k < columns; ++k) out[column + k] = read_plain(w.type, block, k, r);
    }
    block += panel_block_bytes(w.type, columns);
  }
}

}  // namespace concerto::kernels
