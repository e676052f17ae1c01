#include "kernels/generic/generic.h"

namespace concerto::kernels::generic {

const KernelTable kTable = {
    .name = "generic",
    .quantize = quantize,
    .matmul = matmul,
    .rms_norm = rms_norm,
    .add = add,
    .silu_mul = silu_mul,
    .rope = rope,
    .store_kv = store_kv,
    .attention = attention,
    .log_sum_exp = log_sum_exp,
};

}  // namespace concerto::kernels::generic
