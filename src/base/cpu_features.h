// CpuFeatures: which instruction sets this processor and this kernel can run. Detected once.
#pragma once

#include <string>

namespace concerto::base {

struct CpuFeatures {
  bool avx2 = false;      // AVX2 + FMA + F16C
  bool avx_vnni = false;  // 256-bit vpdpbusd without AVX-512
  bool avx512 = false;    // AVX-512 F+BW+DQ+VL
  bool avx512_vnni = false;
  bool avx512_vbmi = false;
  bool avx512_bf16 = false;
  bool neon_dotprod = false;
};

const CpuFeatures& cpu_features();

// The processor's name as the kernel states it, e.g. "AMD EPYC 9554"; "unknown" when it doesn't.
std::string cpu_name();

}  // namespace concerto::base
