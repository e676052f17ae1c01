// The tables of the instruction sets; call only on a processor that has them (select.cpp asks).
#pragma once

#include "kernels/kernels.h"

namespace concerto::kernels {
namespace avx2 {
const KernelTable* table() noexcept;
}
namespace avx512 {
const KernelTable* table() noexcept;
}
namespace neon {
const KernelTable* table() noexcept;
}
}  // namespace concerto::kernels
