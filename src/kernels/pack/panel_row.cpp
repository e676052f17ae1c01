#include "kernels/pack/panel_row.h"

#include <cstring>

#include "kernels/math.h"
#include "kernels/pack.h"

namespace concerto::kernels {
namespace {

using base::TensorType;

uint16_t u16_at(const std::byte* base, size_t index) {
  uint16_t v = 0;
  std::memcpy(&v, base + index * 2, sizeof v);
  return v;
}

// 32 columns of row r out of four nibble vectors, and the bits above out of a plane.
void read_nibbles(const uint8_t* vectors, int r, uint8_t* q) {
  for (int g = 0; g < 8; ++g) {
    for (int j = 0; j < 4; ++j) {
      const uint8_t byte = vectors[(g / 2) * 64 + r * 4 + j];
      q[g * 4 + j] = (g & 1) != 0 ? byte >> 4 : byte & 15U;
    }
  }
}
void add_plane1(const uint8_t* plane, int r, uint8_t* q) {
  for (int c = 0; c < 32; ++c) q[c] |= static_cast<uint8_t>(((plane[r * 4 + c % 4] >> (c / 4)) & 1U) << 4);
}
void add_plane2(const uint8_t* plane, int r, uint8_t* q) {
  for (int c = 0; c < 16; ++c) q[c] |= static_cast<uint8_t>(((plane[r * 4 + c % 4] >> (c / 4 * 2)) & 3U) << 4);
}

template <class Layout>
void read_block32(const std::byte* block, int n, int r, int offset, RowBlock* out) {
  out->offset = offset;
  out->has_min = Layout::kHasMin;
  const auto* plane = reinterpret_cast<const uint8_t*>(block + Layout::plane_offset(n));
  const auto* quants = reinterpret_cast<const uint8_t*>(block + Layout::quant_offset(n));
  for (int s = 0; s < n; ++s) {
    out->d[s] = half_to_float(u16_at(block, static_cast<size_t>(s) * 16 + r));
    if constexpr (Layout::kHasMin) {
      out->m[s] = half_to_float(u16_at(block + Layout::min_offset(n), static_cast<size_t>(s) * 16 + r));
    }
    const uint8_t* q = quants + static_cast<size_t>(s) * Layout::kQuantBytes;
    uint8_t* to = out->q + s * 32;
    if constexpr (Layout::kHasBytes) {
      for (int c = 0; c < 32; ++c) to[c] = q[(c / 4) * 64 + r * 4 + c % 4];
    } else {
      read_nibbles(q, r, to);
    }
    if constexpr (Layout::kHasPlane) add_plane1(plane + s * 64, r, to);
  }
}

template <class Panel>
void read_super(const Panel& p, int r, RowBlock* out) {
  out->super = true;
  out->d_all = half_to_float(p.d[r]);
  out->dmin = half_to_float(p.dmin[r]);
  out->has_min = true;
  for (int s = 0; s < 8; ++s) {
    out->scale[s] = p.scales[s / 2][r][s & 1];
    out->min[s] = p.mins[s / 2][r][s & 1];
    read_nibbles(p.nibbles[s][0], r, out->q + s * 32);
    if constexpr (sizeof(Panel) == sizeof(PanelQ5K)) add_plane1(p.plane[s], r, out->q + s * 32);
  }
}

void read_q6(const PanelQ6K& p, int r, RowBlock* out) {
  out->super = true;
  out->offset = 32;
  out->scale_columns = 16;
  out->d_all = p.d[r];
  for (int s = 0; s < 16; ++s)
    out->scale[s] = static_cast<int>(p.scales[s / 2][r][s & 1]);  // NOLINT(bugprone-signed-char-misuse)
  for (int s = 0; s < 8; ++s) {
    read_nibbles(p.nibbles[s][0], r, out->q + s * 32);
    add_plane2(p.plane[2 * s], r, out->q + s * 32);
    add_plane2(p.plane[2 * s + 1], r, out->q + s * 32 + 16);
  }
}

}  // namespace

void read_row_block(TensorType type, const std::byte* block, int columns, int row, RowBlock* out) noexcept {
  const int n = columns / 32;
  *out = RowBlock{};
  switch (type) {
    case TensorType::kQ4_0:
      return read_block32<LayoutQ4_0>(block, n, row, 8, out);
    case TensorType::kQ4_1:
      return read_block32<LayoutQ4_1>(block, n, row, 0, out);
    case TensorType::kQ5_0:
      return read_block32<LayoutQ5_0>(block, n, row, 16, out);
    case TensorType::kQ5_1:
      return read_block32<LayoutQ5_1>(block, n, row, 0, out);
    case TensorType::kQ8_0:
      return read_block32<LayoutQ8_0>(block, n, row, 128, out);
    case TensorType::kQ4_K:
      return read_super(*reinterpret_cast<const PanelQ4K*>(block), row, out);
    case TensorType::kQ5_K:
      return read_super(*reinterpret_cast<const PanelQ5K*>(block), row, out);
    case TensorType::kQ6_K:
      return read_q6(*reinterpret_cast<const PanelQ6K*>(block), row, out);
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      return;
  }
}

float read_plain(TensorType type, const std::byte* block, int k, int row) noexcept {
  const size_t index = static_cast<size_t>(k) * 16 + static_cast<size_t>(row);
  if (type == TensorType::kF16) return half_to_float(u16_at(block, index));
  if (type == TensorType::kBF16) return bf16_to_float(u16_at(block, index));
  float v = 0;
  std::memcpy(&v, block + index * 4, sizeof v);
  return v;
}

}  // namespace concerto::kernels
