// Built with AVX-512 flags and AVX512_BF16.
#include "kernels/avx512/functions.h"
#include "kernels/avx512/pairs_bf16.h"
#include "kernels/simd/attention.h"

namespace concerto::kernels::avx512 {

void attention_bf16(const AttentionJob& job) noexcept { simd::attention<PairsBf16>(job); }

}  // namespace concerto::kernels::avx512
