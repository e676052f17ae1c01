// Built with AVX2 and AVX-VNNI flags: see avx2/isa.h.
#include "kernels/avx2/functions.h"
#include "kernels/avx2/isa.h"
#include "kernels/simd/matmul_table.h"

namespace concerto::kernels::avx2 {

void matmul_vnni(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
                 ptrdiff_t out_stride) noexcept {
  simd::matmul_any<Isa<true>>(w, x, panel_begin, panel_end, out, out_stride);
}

}  // namespace concerto::kernels::avx2
