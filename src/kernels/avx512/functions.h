// What the AVX-512 files give each other.
#pragma once

#include "kernels/kernels.h"

namespace concerto::kernels::avx512 {

void matmul(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
            ptrdiff_t out_stride) noexcept;
void attention_fma(const AttentionJob& job) noexcept;
void attention_bf16(const AttentionJob& job) noexcept;

extern const KernelTable kTable;  // with attention_fma

}  // namespace concerto::kernels::avx512
