// Built with AVX2 flags.
#include "kernels/simd/vector_ops.h"

#include "kernels/avx2/functions.h"
#include "kernels/avx2/wide.h"

namespace concerto::kernels::avx2 {

const KernelTable kTable = {
    .name = "avx2",
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

}  // namespace concerto::kernels::avx2
