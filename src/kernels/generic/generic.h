// The generic table's functions: plain C++ that defines what every other table must return. Slow on purpose where
// clearness asks for it.
#pragma once

#include "kernels/kernels.h"

namespace concerto::kernels::generic {

void quantize(const Activations& x, int row_begin, int row_end) noexcept;
void matmul(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
            ptrdiff_t out_stride) noexcept;
void rms_norm(const float* x, const float* weight, float eps, int n, float* out) noexcept;
void add(float* x, const float* y, int n) noexcept;
void silu_mul(const float* gate, const float* up, int n, float* out) noexcept;
void rope(float* x, const float* cos, const float* sin, int heads, int head_dim, bool neox) noexcept;
void store_kv(const float* k, const float* v, int head_dim, int slot, uint16_t* k_tile, uint16_t* v_tile) noexcept;
void attention(const AttentionJob& job) noexcept;
float log_sum_exp(const float* x, int n) noexcept;

extern const KernelTable kTable;

}  // namespace concerto::kernels::generic
