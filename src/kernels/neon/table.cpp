#include "kernels/isa_tables.h"
#include "kernels/neon/functions.h"

namespace concerto::kernels::neon {

const KernelTable* table() noexcept { return &kTable; }

}  // namespace concerto::kernels::neon
