// Chooses the kernel table: the best one that this processor runs, or the one that CONCERTO_ISA names.
#include <cstdlib>
#include <string_view>

#include "base/cpu_features.h"
#include "kernels/generic/generic.h"
#include "kernels/isa_tables.h"
#include "kernels/kernels.h"

namespace concerto::kernels {
namespace {

const KernelTable* avx2_if_runnable() noexcept {
#if defined(CONCERTO_KERNELS_X86)
  if (base::cpu_features().avx2) return avx2::table();
#endif
  return nullptr;
}

const KernelTable* avx512_if_runnable() noexcept {
#if defined(CONCERTO_KERNELS_X86)
  const auto& f = base::cpu_features();
  if (f.avx512 && f.avx512_vnni) return avx512::table();
#endif
  return nullptr;
}

const KernelTable* neon_if_runnable() noexcept {
#if defined(CONCERTO_KERNELS_ARM)
  if (base::cpu_features().neon_dotprod) return neon::table();
#endif
  return nullptr;
}

const KernelTable& choose() noexcept {
  if (const char* forced = std::getenv("CONCERTO_ISA"); forced != nullptr && *forced != '\0') {
    if (const auto* t = find_table(forced)) return *t;
  }
  if (const auto* t = avx512_if_runnable()) return *t;
  if (const auto* t = avx2_if_runnable()) return *t;
  if (const auto* t = neon_if_runnable()) return *t;
  return generic::kTable;
}

}  // namespace

const KernelTable* find_table(const char* name) noexcept {
  const std::string_view n = name;
  if (n == "generic") return &generic::kTable;
  if (n == "avx2") return avx2_if_runnable();
  if (n == "avx512") return avx512_if_runnable();
  if (n == "neon") return neon_if_runnable();
  return nullptr;
}

const KernelTable& best_table() noexcept {
  static const KernelTable& table = choose();
  return table;
}

}  // namespace concerto::kernels
