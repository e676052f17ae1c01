// Built with AVX2 flags.
#include "kernels/simd/attention.h"

#include "kernels/avx2/functions.h"
#include "kernels/avx2/wide.h"

namespace concerto::kernels::avx2 {

void attention(const AttentionJob& job) noexcept { simd::attention<Pairs>(job); }

}  // namespace concerto::kernels::avx2
