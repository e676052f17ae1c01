// Built for every x86-64: chooses between the AVX-512 attentions.
#include "base/cpu_features.h"
#include "kernels/avx512/functions.h"
#include "kernels/isa_tables.h"

namespace concerto::kernels::avx512 {

const KernelTable* table() noexcept {
  static const KernelTable chosen = [] {
    KernelTable t = kTable;
    if (base::cpu_features().avx512_bf16) t.attention = attention_bf16;
    return t;
  }();
  return &chosen;
}

}  // namespace concerto::kernels::avx512
