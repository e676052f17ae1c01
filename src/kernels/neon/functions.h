// What the NEON files give each other.
#pragma once

#include "kernels/kernels.h"

namespace concerto::kernels::neon {

void matmul(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
            ptrdiff_t out_stride) noexcept;
void attention(const AttentionJob& job) noexcept;

extern const KernelTable kTable;

}  // namespace concerto::kernels::neon
