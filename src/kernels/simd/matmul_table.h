// The one place that maps a weight type to its vector kernel.
#pragma once

#include "kernels/simd/formats.h"

namespace concerto::kernels::simd {

template <class Isa>
void matmul_any(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
                ptrdiff_t out_stride) noexcept {
  using base::TensorType;
  switch (w.type) {
    case TensorType::kF32:
      return matmul<Isa, FormatF32>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kF16:
      return matmul<Isa, FormatF16>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kBF16:
      return matmul<Isa, FormatBF16>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kQ4_0:
      return matmul<Isa, FormatQ4_0>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kQ4_1:
      return matmul<Isa, FormatQ4_1>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kQ5_0:
      return matmul<Isa, FormatQ5_0>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kQ5_1:
      return matmul<Isa, FormatQ5_1>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kQ8_0:
      return matmul<Isa, FormatQ8_0>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kQ4_K:
      return matmul<Isa, FormatQ4_K>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kQ5_K:
      return matmul<Isa, FormatQ5_K>(w, x, panel_begin, panel_end, out, out_stride);
    case TensorType::kQ6_K:
      return matmul<Isa, FormatQ6_K>(w, x, panel_begin, panel_end, out, out_stride);
  }
}

}  // namespace concerto::kernels::simd
