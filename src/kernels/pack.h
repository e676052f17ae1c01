// Packed weight layouts: panels of 16 rows, interleaved so that 16 rows are 16 int32 (or float) lanes.
//
// A packed matrix is its panels one after another; a panel is its 256-column blocks one after another (the last one may
// be shorter for types with blocks of 32); every part below starts on a cache line. In a block, "dot vector" g of a
// 32-column sub-block is what one vpdpbusd eats: 64 bytes, byte 4r + j = column 4g + j of row r, unsigned. Dot vectors
// are stored
//   as bytes (Q8_0: file value + 128), 8 vectors of 64 bytes a sub-block, or
//   as nibbles, 4 vectors a sub-block: byte 4r + j of vector i = low 4 bits of column 8i + j in its low nibble,
//       of column 8i + 4 + j in its high nibble; the bits above are in planes:
//   1-bit plane (Q5_*): 64 bytes a sub-block; bit g of byte 4r + j = bit 4 of column 4g + j
//   2-bit plane (Q6_K): 64 bytes per 16 columns; bits 2g..2g+1 of byte 4r + j = bits 4..5 of column 4g + j (g = 0..3)
// Row r of a panel reads as zero weights when it lies past the matrix.
//
// Meaning of matmul, y = 0 (all integers exact, in int32). Over each 32 columns s in order, dx = x.scales[t][s]:
//   Q4_0, Q5_0, Q8_0  y = fma(float(sum (w - offset) q) * dx, d[s], y)
//   Q4_1, Q5_1        y = fma(float(sum w q) * dx, d[s], y); y = fma(m[s], x.float_sums[t][s], y)
// Over blocks b of 256 columns in order, dx = x.scales[t][b], S = sums of q:
//   Q4_K, Q5_K        I = sum over s of sc[s] * (sum w q); M = sum over s of mn[s] * S[s]
//                     a = float(I) * d; a = fma(-float(M), dmin, a); y = fma(a, dx, y)
//   Q6_K              I = sum over 16-column s of sc[s] * (sum (w - 32) q); a = float(I) * d; y = fma(a, dx, y)
//   F32, F16, BF16    a = 0; for each column k of the block in order: a = fma(w[k], x[k], a); y = y + a  (x
//   unquantised)
//
// This header is included by files built with ISA flags: plain structs only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"
#include "kernels/kernels.h"

namespace concerto::kernels {

// Q4_K, 256 columns: 2368 bytes, 4.625 bits a weight.
struct alignas(64) PanelQ4K {
  uint16_t d[16];            // f16, row r
  uint16_t dmin[16];         // f16
  uint8_t scales[4][16][2];  // sub-blocks 2p, 2p+1 of row r: a pair is one int32 lane of vpdpwssd
  uint8_t mins[4][16][2];
  uint8_t nibbles[8][4][64];  // [sub-block of 32]
};

// Q5_K: 2880 bytes, 5.625 bits.
struct alignas(64) PanelQ5K {
  uint16_t d[16];
  uint16_t dmin[16];
  uint8_t scales[4][16][2];
  uint8_t mins[4][16][2];
  uint8_t plane[8][64];
  uint8_t nibbles[8][4][64];
};

// Q6_K: 3392 bytes, 6.625 bits (d as f32 fills the line that two blocks' f16 would share).
struct alignas(64) PanelQ6K {
  float d[16];
  int8_t scales[8][16][2];  // 16-column sub-blocks 2p, 2p+1 of row r
  uint8_t plane[16][64];
  uint8_t nibbles[8][4][64];
};

static_assert(sizeof(PanelQ4K) == 2368 && sizeof(PanelQ5K) == 2880 && sizeof(PanelQ6K) == 3392);

// Blocks of the 32-column types hold n = 1..8 sub-blocks:
//   f16 d[n][16], f16 m[n][16] (types with minima), padding to 64 | plane[n][64] (Q5) | quants[n][256 or 512]
template <bool kMin, bool kPlane, bool kBytes>
struct Layout32 {
  static constexpr bool kHasMin = kMin;
  static constexpr bool kHasPlane = kPlane;
  static constexpr bool kHasBytes = kBytes;
  static constexpr size_t kQuantBytes = kBytes ? 512 : 256;
  static constexpr size_t min_offset(int n) noexcept { return static_cast<size_t>(n) * 32; }
  static constexpr size_t plane_offset(int n) noexcept {
    return (static_cast<size_t>(n) * (kMin ? 64 : 32) + 63) / 64 * 64;
  }
  static constexpr size_t quant_offset(int n) noexcept {
    return plane_offset(n) + (kPlane ? static_cast<size_t>(n) * 64 : 0);
  }
  static constexpr size_t bytes(int n) noexcept { return quant_offset(n) + static_cast<size_t>(n) * kQuantBytes; }
};
using LayoutQ4_0 = Layout32<false, false, false>;
using LayoutQ4_1 = Layout32<true, false, false>;
using LayoutQ5_0 = Layout32<false, true, false>;
using LayoutQ5_1 = Layout32<true, true, false>;
using LayoutQ8_0 = Layout32<false, false, true>;

// F32, F16, BF16: [cols][16] elements of the file's type.

// Bytes of one panel, and of one block of `columns` (256 or the shorter last) inside it.
size_t panel_bytes(base::TensorType type, int cols) noexcept;
size_t panel_block_bytes(base::TensorType type, int columns) noexcept;

}  // namespace concerto::kernels
