// One row's part of one packed block, read back as plain integers and scales: the bridge from the packed layouts to
// unpack_row and the generic matmul. Internal to kernels/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace concerto::kernels {

struct RowBlock {
  uint8_t q[256];          // unsigned quants, column order
  int offset = 0;          // weight = q - offset
  int scale_columns = 32;  // columns that share one entry of d / scale
  bool super = false;      // K-quants: d_all, dmin, scale, min hold the scales; otherwise d and m do
  bool has_min = false;
  float d[8];
  float m[8];
  float d_all = 0;
  float dmin = 0;
  int scale[16];
  int min[8];
};

// Quantised types only. block = start of the block inside its panel, row 0..15.
void read_row_block(base::TensorType type, const std::byte* block, int columns, int row, RowBlock* out) noexcept;

// F32, F16, BF16: weight k of a row of a panel block [k][16].
float read_plain(base::TensorType type, const std::byte* block, int k, int row) noexcept;

}  // namespace concerto::kernels
