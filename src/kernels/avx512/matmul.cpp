// Built with AVX-512 flags: see avx512/isa.h.
#include "kernels/avx512/functions.h"
#include "kernels/avx512/isa.h"
#include "kernels/simd/matmul_table.h"

namespace concerto::kernels::avx512 {

void matmul(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
            ptrdiff_t out_stride) noexcept {
  simd::matmul_any<Isa>(w, x, panel_begin, panel_end, out, out_stride);
}

}  // namespace concerto::kernels::avx512
