// Built with AVX-512 flags, without AVX512_BF16.
#include "kernels/simd/attention.h"

#include "kernels/avx512/functions.h"
#include "kernels/avx512/wide.h"

namespace concerto::kernels::avx512 {

void attention_fma(const AttentionJob& job) noexcept { simd::attention<PairsFma>(job); }

}  // namespace concerto::kernels::avx512
