// Needs no more than every aarch64 has.
#include "kernels/simd/vector_ops.h"

#include "kernels/neon/functions.h"
#include "kernels/neon/wide.h"

namespace concerto::kernels::neon {

const KernelTable kTable = {
    .name = "neon",
    .quantize = simd::quantize<Wide>,
    .matmul = matmul,
    .rms_norm = simd::rms_norm<Wide>,
    .add = simd::add<Wide>,
    .silu_mul = simd::silu_mul<Wide>,
    .rope = simd::rope<Wide>,
    .store_kv = simd::store_kv<Wide>,
    .attention = attention,
    .log_sum_exp = simd::log_sum_exp<Wide>,
};

}  // namespace concerto::kernels::neon
