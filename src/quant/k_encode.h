// The encoder that Q4_K and Q5_K share: eight groups of 32 weights, w = (d * scale) * q - (dmin * minimum), with 6-bit
// scales and minimums. Internal to quant/.
#pragma once

#include <cstdint>

#include "quant/k_scales.h"

namespace concerto::quant {

struct KBlock {
  uint16_t d;     // binary16
  uint16_t dmin;  // binary16
  KScales groups;
  uint8_t q[256];  // 0..levels
};

// in: [256] weights. levels: 15 (Q4_K) or 31 (Q5_K).
KBlock encode_k_block(const float* in, int levels) noexcept;

}  // namespace concerto::quant
