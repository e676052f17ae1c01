#include "kernels/pack.h"

#include <algorithm>
#include <cstring>

#include "kernels/math.h"
#include "kernels/pack/file_blocks.h"

namespace concerto::kernels {
namespace {

using base::TensorType;
using namespace pack_detail;  // NOLINT: one level of our own detail

void store_u32(uint8_t* p, uint32_t v) { std::memcpy(p, &v, sizeof v); }
template <class T>
T* at(std::byte* p) {
  return reinterpret_cast<T*>(p);
}

// Words of one row's sub-block -> its bytes of the four nibble vectors.
void put_nibbles(const uint32_t* words, int r, uint8_t* vectors) {
  for (int i = 0; i < 4; ++i) {
    store_u32(vectors + i * 64 + r * 4, (words[2 * i] & kNibbles) | ((words[2 * i + 1] & kNibbles) << 4));
  }
}
// Where 32 file bytes hold a sub-block in their low nibbles (shift 0) or high ones (shift 4): two words at a time.
void put_nibbles_of(const std::byte* bytes, int shift, int r, uint8_t* vectors) {
  for (int i = 0; i < 4; ++i) {
    const uint64_t two = (load_u64(bytes + i * 8) >> shift) & kNibbles64;
    store_u32(vectors + i * 64 + r * 4, static_cast<uint32_t>(two | (two >> 28)));
  }
}
void put_plane1(const uint32_t* words, int r, uint8_t* plane) {
  uint32_t v = 0;
  for (int g = 0; g < 8; ++g) v |= ((words[g] >> 4) & kLowBits) << g;
  store_u32(plane + r * 4, v);
}
void put_plane2(const std::byte* high, int shift, int r, uint8_t* plane) {
  uint32_t v = 0;
  for (int g = 0; g < 4; ++g) v |= ((load_u32(high + g * 4) >> shift) & kLowPairs) << (2 * g);
  store_u32(plane + r * 4, v);
}

struct FileQ4_0 {
  using Layout = LayoutQ4_0;
  static constexpr size_t kBytes = 18;
  static void words(const std::byte* b, uint32_t* w) { words_of_nibbles16(b + 2, w); }
};
struct FileQ4_1 {
  using Layout = LayoutQ4_1;
  static constexpr size_t kBytes = 20;
  static void words(const std::byte* b, uint32_t* w) { words_of_nibbles16(b + 4, w); }
};
struct FileQ5_0 {
  using Layout = LayoutQ5_0;
  static constexpr size_t kBytes = 22;
  static void words(const std::byte* b, uint32_t* w) {
    words_of_nibbles16(b + 6, w);
    add_bits32(load_u32(b + 2), w);
  }
};
struct FileQ5_1 {
  using Layout = LayoutQ5_1;
  static constexpr size_t kBytes = 24;
  static void words(const std::byte* b, uint32_t* w) {
    words_of_nibbles16(b + 8, w);
    add_bits32(load_u32(b + 4), w);
  }
};
struct FileQ8_0 {
  using Layout = LayoutQ8_0;
  static constexpr size_t kBytes = 34;
  static void words(const std::byte* b, uint32_t* w) {
    for (int g = 0; g < 8; ++g) w[g] = load_u32(b + 2 + g * 4) ^ 0x80808080U;
  }
};

// One block (n sub-blocks) of row r of a 32-column type.
template <class File>
void pack_block32(const std::byte* src, int n, int r, std::byte* out) {
  using Layout = typename File::Layout;
  auto* d = at<uint16_t>(out);
  auto* m = at<uint16_t>(out + Layout::min_offset(n));
  auto* plane = at<uint8_t>(out + Layout::plane_offset(n));
  auto* quants = at<uint8_t>(out + Layout::quant_offset(n));
  for (int s = 0; s < n; ++s, src += File::kBytes) {
    uint32_t w[8];
    File::words(src, w);
    d[s * 16 + r] = load_u16(src);
    if constexpr (Layout::kHasMin) m[s * 16 + r] = load_u16(src + 2);
    if constexpr (Layout::kHasPlane) put_plane1(w, r, plane + s * 64);
    uint8_t* q = quants + static_cast<size_t>(s) * Layout::kQuantBytes;
    if constexpr (Layout::kHasBytes) {
      for (int g = 0; g < 8; ++g) store_u32(q + g * 64 + r * 4, w[g]);
    } else {
      put_nibbles(w, r, q);
    }
  }
}

// Q4_K and Q5_K: the same block but for the plane.
template <class Panel, bool kPlane>
void pack_super(const std::byte* src, int r, std::byte* out) {
  auto* p = at<Panel>(out);
  p->d[r] = load_u16(src);
  p->dmin[r] = load_u16(src + 2);
  const std::byte* high = kPlane ? src + 16 : nullptr;
  const std::byte* nibbles = src + (kPlane ? 48 : 16);
  for (int s = 0; s < 8; ++s) {
    super_scale(src + 4, s, &p->scales[s / 2][r][s & 1], &p->mins[s / 2][r][s & 1]);
    put_nibbles_of(nibbles + (s / 2) * 32, (s & 1) * 4, r, p->nibbles[s][0]);
    if constexpr (kPlane) {
      uint32_t v = 0;
      for (int g = 0; g < 8; ++g) v |= ((load_u32(high + g * 4) >> s) & kLowBits) << g;
      store_u32(p->plane[s] + r * 4, v);
    }
  }
}

void pack_q6(const std::byte* src, int r, std::byte* out) {
  auto* p = at<PanelQ6K>(out);
  p->d[r] = half_to_float(load_u16(src + kQ6D));
  for (int s = 0; s < 16; ++s) p->scales[s / 2][r][s & 1] = static_cast<int8_t>(src[kQ6Scales + s]);
  for (int s = 0; s < 8; ++s) {
    const int k = s & 3;
    put_nibbles_of(src + (s / 4) * 64 + (k & 1) * 32, (k / 2) * 4, r, p->nibbles[s][0]);
    const std::byte* high = src + kQ6High + (s / 4) * 32;
    put_plane2(high, 2 * k, r, p->plane[2 * s]);
    put_plane2(high + 16, 2 * k, r, p->plane[2 * s + 1]);
  }
}

template <class T>
void pack_plain(const std::byte* src, int columns, int r, std::byte* out) {
  for (int k = 0; k < columns; ++k) {
    std::memcpy(out + (static_cast<size_t>(k) * 16 + r) * sizeof(T), src + k * sizeof(T), sizeof(T));
  }
}

// One block of `columns` columns of row r, from the file bytes of those columns.
void pack_row_block(TensorType type, const std::byte* src, int columns, int r, std::byte* out) {
  const int n = columns / 32;
  switch (type) {
    case TensorType::kQ4_0:
      return pack_block32<FileQ4_0>(src, n, r, out);
    case TensorType::kQ4_1:
      return pack_block32<FileQ4_1>(src, n, r, out);
    case TensorType::kQ5_0:
      return pack_block32<FileQ5_0>(src, n, r, out);
    case TensorType::kQ5_1:
      return pack_block32<FileQ5_1>(src, n, r, out);
    case TensorType::kQ8_0:
      return pack_block32<FileQ8_0>(src, n, r, out);
    case TensorType::kQ4_K:
      return pack_super<PanelQ4K, false>(src, r, out);
    case TensorType::kQ5_K:
      return pack_super<PanelQ5K, true>(src, r, out);
    case TensorType::kQ6_K:
      return pack_q6(src, r, out);
    case TensorType::kF32:
      return pack_plain<float>(src, columns, r, out);
    case TensorType::kF16:
    case TensorType::kBF16:
      return pack_plain<uint16_t>(src, columns, r, out);
  }
}

size_t file_bytes(TensorType type, int columns) {
  const auto& g = base::geometry(type);
  return static_cast<size_t>(columns) / g.block_weights * g.block_bytes;
}

}  // namespace

bool uses_int8(TensorType type) noexcept {
  return type != TensorType::kF32 && type != TensorType::kF16 && type != TensorType::kBF16;
}

size_t panel_block_bytes(TensorType type, int columns) noexcept {
  const int n = columns / 32;
  switch (type) {
    case TensorType::kQ4_0:
      return LayoutQ4_0::bytes(n);
    case TensorType::kQ4_1:
      return LayoutQ4_1::bytes(n);
    case TensorType::kQ5_0:
      return LayoutQ5_0::bytes(n);
    case TensorType::kQ5_1:
      return LayoutQ5_1::bytes(n);
    case TensorType::kQ8_0:
      return LayoutQ8_0::bytes(n);
    case TensorType::kQ4_K:
      return sizeof(PanelQ4K);
    case TensorType::kQ5_K:
      return sizeof(PanelQ5K);
    case TensorType::kQ6_K:
      return sizeof(PanelQ6K);
    case TensorType::kF32:
      return static_cast<size_t>(columns) * 64;
    case TensorType::kF16:
    case TensorType::kBF16:
      return static_cast<size_t>(columns) * 32;
  }
  return 0;
}

size_t panel_bytes(TensorType type, int cols) noexcept {
  const int rest = cols % kQuantBlock;
  return static_cast<size_t>(cols / kQuantBlock) * panel_block_bytes(type, kQuantBlock) +
         (rest != 0 ? panel_block_bytes(type, rest) : 0);
}

size_t packed_bytes(TensorType type, int rows, int cols) noexcept {
  return static_cast<size_t>((rows + kPanelRows - 1) / kPanelRows) * panel_bytes(type, cols);
}

void pack(TensorType type, int rows, int cols, const std::byte* file_rows, int panel_begin, int panel_end,
          std::byte* out) noexcept {
  const size_t stride = panel_bytes(type, cols);
  const size_t row_bytes = file_bytes(type, cols);
  for (int panel = panel_begin; panel < panel_end; ++panel) {
    const int row = panel * kPanelRows;
    std::byte* p = out + static_cast<size_t>(panel) * stride;
    const int here = std::min(kPanelRows, rows - row);
    // Absent rows: scale 0 and quants 0, so their lanes compute 0; also the padding inside a block is zero.
    if (here < kPanelRows) std::memset(p, 0, stride);
    for (int column = 0; column < cols; column += kQuantBlock) {
      const int columns = std::min(kQuantBlock, cols - column);
      const size_t block_bytes = panel_block_bytes(type, columns);
      if (columns < kQuantBlock && here == kPanelRows) std::memset(p, 0, block_bytes);
      for (int r = 0; r < here; ++r) {
        const std::byte* src = file_rows + static_cast<size_t>(row + r) * row_bytes + file_bytes(type, column);
        pack_row_block(type, src, columns, r, p);
      }
      p += block_bytes;
    }
  }
}

}  // namespace concerto::kernels
