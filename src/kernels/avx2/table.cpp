// Built for every x86-64: takes the VNNI matmul where the processor has AVX-VNNI.
#include "base/cpu_features.h"
#include "kernels/avx2/functions.h"
#include "kernels/isa_tables.h"

namespace concerto::kernels::avx2 {

const KernelTable* table() noexcept {
  static const KernelTable chosen = [] {
    KernelTable t = kTable;
    if (base::cpu_features().avx_vnni) t.matmul = matmul_vnni;
    return t;
  }();
  return &chosen;
}

}  // namespace concerto::kernels::avx2
