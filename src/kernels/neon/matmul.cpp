// Built with dotprod flags: see neon/isa.h.
#include "kernels/neon/functions.h"
#include "kernels/neon/isa.h"
#include "kernels/simd/matmul_table.h"

namespace concerto::kernels::neon {

void matmul(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
            ptrdiff_t out_stride) noexcept {
  simd::matmul_any<Isa>(w, x, panel_begin, panel_end, out, out_stride);
}

}  // namespace concerto::kernels::neon
