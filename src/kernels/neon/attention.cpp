// Needs no more than every aarch64 has.
#include "kernels/simd/attention.h"

#include "kernels/neon/functions.h"
#include "kernels/neon/wide.h"

namespace concerto::kernels::neon {

void attention(const AttentionJob& job) noexcept { simd::attention<Pairs>(job); }

}  // namespace concerto::kernels::neon
