// Decodes file blocks by the published formulas, written apart from kernels/ and quant/, one column at a time.
#pragma once

#include <cstring>
#include <vector>

#include "base/tensor_type.h"
#include "kernels/math.h"

namespace concerto::kernels::test {

struct Bytes {
  const std::byte* p;
  [[nodiscard]] int u8(size_t i) const { return static_cast<uint8_t>(p[i]); }
  [[nodiscard]] int i8(size_t i) const { return static_cast<int8_t>(p[i]); }
  [[nodiscard]] uint16_t u16(size_t i) const { return static_cast<uint16_t>(u8(i) | (u8(i + 1) << 8)); }
  [[nodiscard]] float half(size_t i) const { return half_to_float(u16(i)); }
};

inline int low_or_high(const Bytes& b, size_t base, int c) {  // Q4_0 family: 16 bytes
  return c < 16 ? b.u8(base + c) & 15 : b.u8(base + c - 16) >> 4;
}
inline int bit32(const Bytes& b, size_t base, int c) { return (b.u8(base + c / 8) >> (c % 8)) & 1; }

inline float super_weight(const Bytes& b, int c, bool q5) {
  const int s = c / 32;
  const size_t q_base = q5 ? 48 : 16;
  int sc = 0;
  int mn = 0;
  if (s < 4) {
    sc = b.u8(4 + s) & 63;
    mn = b.u8(8 + s) & 63;
  } else {
    sc = (b.u8(8 + s) & 15) + (b.u8(s) >> 6) * 16;
    mn = (b.u8(8 + s) >> 4) + (b.u8(4 + s) >> 6) * 16;
  }
  const int byte = b.u8(q_base + (s / 2) * 32 + c % 32);
  int q = s % 2 == 0 ? byte % 16 : byte / 16;
  if (q5) q += 16 * ((b.u8(16 + c % 32) >> s) & 1);
  const float d = b.half(0) * static_cast<float>(sc);
  const float m = b.half(2) * static_cast<float>(mn);
  return d * static_cast<float>(q) - m;
}

inline float q6_weight(const Bytes& b, int c) {
  const int half = c / 128;
  const int l = c % 32;
  const int k = (c % 128) / 32;
  const int low_byte = b.u8(half * 64 + (k % 2) * 32 + l);
  const int low = k < 2 ? low_byte % 16 : low_byte / 16;
  const int high = (b.u8(128 + half * 32 + l) >> (2 * k)) % 4;
  const float d = b.half(208) * static_cast<float>(b.i8(192 + c / 16));
  return d * static_cast<float>(low + 16 * high - 32);
}

inline float weight(base::TensorType type, const std::byte* row, int column) {
  const auto& g = base::geometry(type);
  const auto per = static_cast<int>(g.block_weights);
  const Bytes b{row + static_cast<size_t>(column / per) * g.block_bytes};
  const int c = column % per;
  switch (type) {
    case base::TensorType::kF32: {
      float v = 0;
      std::memcpy(&v, b.p, 4);
      return v;
    }
    case base::TensorType::kF16:
      return b.half(0);
    case base::TensorType::kBF16:
      return bf16_to_float(b.u16(0));
    case base::TensorType::kQ4_0:
      return b.half(0) * static_cast<float>(low_or_high(b, 2, c) - 8);
    case base::TensorType::kQ4_1:
      return b.half(0) * static_cast<float>(low_or_high(b, 4, c)) + b.half(2);
    case base::TensorType::kQ5_0:
      return b.half(0) * static_cast<float>(low_or_high(b, 6, c) + 16 * bit32(b, 2, c) - 16);
    case base::TensorType::kQ5_1:
      return b.half(0) * static_cast<float>(low_or_high(b, 8, c) + 16 * bit32(b, 4, c)) + b.half(2);
    case base::TensorType::kQ8_0:
      return b.half(0) * static_cast<float>(b.i8(2 + c));
    case base::TensorType::kQ4_K:
      return super_weight(b, c, false);
    case base::TensorType::kQ5_K:
      return super_weight(b, c, true);
    case base::TensorType::kQ6_K:
      return q6_weight(b, c);
  }
  return 0;
}

}  // namespace concerto::kernels::test
