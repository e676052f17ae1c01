// Built with AVX-512 flags.
#include "kernels/simd/vector_ops.h"

#include "kernels/avx512/functions.h"
#include "kernels/avx512/wide.h"

namespace concerto::kernels::avx512 {

const KernelTable kTable = {
    .name = "avx512",
    .quantize = simd::quantize<Wide>,
    .matmul = matmul,
    .rms_norm = simd::rms_norm<Wide>,
    .add = simd::add<Wide>,
    .silu_mul = simd::silu_mul<Wide>,
    .rope = simd::rope<Wide>,
    .store_kv = simd::store_kv<Wide>,
    .attention = attention_fma,
    .log_sum_exp = simd::log_sum_exp<Wide>,
};

}  // namespace concerto::kernels::avx512
