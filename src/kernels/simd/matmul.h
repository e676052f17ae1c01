// The packed matrix product, written once for every vector ISA.
//
// Isa gives vectors of kLanes = 16, 8 or 4 rows of a panel (8: the panel is done in two halves, 4: in four). A Format
// (simd/formats.h) knows one weight type: it walks a 256-column block once for a tile of NT tokens, so that weights are
// decoded once a tile and every decoded vector feeds NT dot products whose activations are broadcast from memory.
//
// Order of loops: groups of panels whose weights stay in the L2 cache | tiles of tokens | panels of the group | blocks.
// Included by files built with ISA flags: no std templates, everything a template over Isa.
#pragma once

#include "base/check.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "kernels/simd/inline.h"

namespace concerto::kernels::simd {

inline constexpr size_t kGroupBytes = 256 * 1024;  // weights of a panel group: a quarter of a 1 MB L2 cache

// In a pass of few tokens the weights come from memory, and the hardware prefetcher stops at every page: each sub-block
// asks for its share of the block that lies some KB ahead. Measured on Zen 4 (one thread, weights of 200 MB):
//   one or two tokens, plain nibbles or bytes: the loop itself runs ahead far enough (31 GB/s; with prefetch 28)
//   one or two tokens, types with bit planes: into L1 (28 GB/s; without 23)
//   more tokens, which need L1 for their activations: into L2 (8 tokens of Q4_K: 178 GMAC/s; without 106)
template <int NT, size_t kShare, bool kHasPlanes>
CONCERTO_FORCE_INLINE void prefetch_share(const std::byte* block, int s) noexcept {
  if constexpr (NT > 2 || kHasPlanes) {
    constexpr size_t kAhead = NT <= 2 ? 6144 : 8192;
    const std::byte* p = block + kAhead + static_cast<size_t>(s) * kShare;
#pragma GCC unroll 16
    for (size_t i = 0; i < kShare; i += 64) __builtin_prefetch(p + i, 0, NT <= 2 ? 3 : 2);
  } else {
    (void)block;
    (void)s;
  }
}

// What a Format reads of a tile of tokens, at the current block.
struct TileInputs {
  const int8_t* q;           // token 0; tokens q_stride bytes apart
  const int16_t* sums;       // ... q_stride / 32 apart
  const int32_t* offsets16;  // ... q_stride / 16 apart
  const int32_t* neg_sums;   // ... q_stride / 32 apart
  const float* float_sums;   // ... q_stride / 32 apart
  const float* scales;       // ... blocks apart
  const uint8_t* wide;       // ... blocks apart
  const float* f32;          // ... cols apart
  ptrdiff_t q_stride;
  ptrdiff_t sum_stride;  // q_stride / 32
  ptrdiff_t blocks;
  ptrdiff_t cols;
};

// kBlock: columns that share a scale.
template <class Isa, int kBlock>
CONCERTO_FORCE_INLINE TileInputs tile_inputs(const Activations& x, int token) noexcept {
  const ptrdiff_t stride = Activations::q_stride(x.cols);
  const ptrdiff_t blocks = Activations::blocks(x.cols, kBlock);
  return {x.q + token * stride,
          x.sums + token * (stride / 32),
          x.offsets16 + token * (stride / 16),
          x.neg_sums + token * (stride / 32),
          x.float_sums + token * (stride / 32),
          x.scales + token * blocks,
          x.wide + token * blocks,
          x.f32 + static_cast<ptrdiff_t>(token) * x.cols,
          stride,
          stride / 32,
          blocks,
          x.cols};
}

template <class Isa, int kBlock>
CONCERTO_FORCE_INLINE void advance(TileInputs& in) noexcept {
  in.q += kQuantBlock;
  in.sums += kQuantBlock / 32;
  in.offsets16 += kQuantBlock / 16;
  in.neg_sums += kQuantBlock / 32;
  in.float_sums += kQuantBlock / 32;
  in.scales += kQuantBlock / kBlock;
  in.wide += kQuantBlock / kBlock;
  in.f32 += kQuantBlock;
}

// Whether sums in 16 bits are used at all: where the Isa multiplies pairs faster, for tokens enough to pay for the
// asking.
template <class Isa, int NT>
inline constexpr bool kMayBeNarrow = Isa::kFastPairs && NT > 2;

// True when the products of the current block may be summed in 16 bits for all NT tokens (Activations::wide).
template <class Isa, int NT>
CONCERTO_FORCE_INLINE bool is_narrow(const TileInputs& in) noexcept {
  if (!kMayBeNarrow<Isa, NT>) return false;
  unsigned any = 0;
#pragma GCC unroll 16
  for (int t = 0; t < NT; ++t) any |= in.wide[t * in.blocks];
  return any == 0;
}

// Rows [0, rows) of one panel for tokens [token, token + NT).
template <class Isa, class Format, int NT>
void panel_tile(const std::byte* panel, const Activations& x, int token, int rows, float* out,
                ptrdiff_t out_stride) noexcept {
  constexpr int kParts = kPanelRows / Isa::kLanes;
  using F = typename Isa::F;
  F y[kParts][NT];
  for (int h = 0; h < kParts; ++h) {
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) y[h][t] = Isa::zero_f();
  }
  TileInputs in = tile_inputs<Isa, Format::kActivationBlock>(x, token);
  const std::byte* block = panel;
  for (int column = 0; column < x.cols; column += kQuantBlock) {
    const int n = x.cols - column < kQuantBlock ? (x.cols - column) / 32 : kQuantBlock / 32;
    for (int h = 0; h < kParts; ++h) Format::template block<Isa, NT>(block, n, h, in, y[h]);
    block += Format::block_bytes(kQuantBlock / 32);
    advance<Isa, Format::kActivationBlock>(in);
  }
  for (int h = 0; h < kParts; ++h) {
    const int left = rows - h * Isa::kLanes;
#pragma GCC unroll 16
    for (int t = 0; t < NT; ++t) {
      float* to = out + t * out_stride + h * Isa::kLanes;
      if (left >= Isa::kLanes) {
        Isa::store_f(to, y[h][t]);
      } else if (left > 0) {
        Isa::store_first(to, y[h][t], left);
      }
    }
  }
}

// A tile of `tokens` <= NT tokens: one instantiation each.
template <class Isa, class Format, int NT>
void tail_tile(int tokens, const std::byte* panel, const Activations& x, int token, int rows, float* out,
               ptrdiff_t out_stride) noexcept {
  if (tokens == NT) {
    panel_tile<Isa, Format, NT>(panel, x, token, rows, out, out_stride);
  } else if constexpr (NT > 1) {
    tail_tile<Isa, Format, NT - 1>(tokens, panel, x, token, rows, out, out_stride);
  }
}

template <class Isa, class Format>
void matmul(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
            ptrdiff_t out_stride) noexcept {
  CHECK(!Format::kInt8 || x.block == Format::kActivationBlock);
  const size_t stride = static_cast<size_t>(w.cols / kQuantBlock) * Format::block_bytes(8) +
                        (w.cols % kQuantBlock != 0 ? Format::block_bytes(w.cols % kQuantBlock / 32) : 0);
  const int fit = static_cast<int>(kGroupBytes / stride);
  const int group = fit > 1 ? fit : 1;
  for (int begin = panel_begin; begin < panel_end; begin += group) {
    const int end = begin + group < panel_end ? begin + group : panel_end;
    const int tiles = (x.tokens + Isa::kTokenTile - 1) / Isa::kTokenTile;
    for (int tile = 0, token = 0, tokens = 0; tile < tiles; ++tile, token += tokens) {
      tokens = (x.tokens - token + tiles - tile - 1) / (tiles - tile);  // nearly equal: 9 = 5 + 4 rather than 8 + 1
      for (int panel = begin; panel < end; ++panel) {
        const int row = panel * kPanelRows;
        const int rows = w.rows - row < kPanelRows ? w.rows - row : kPanelRows;
        tail_tile<Isa, Format, Isa::kTokenTile>(tokens, w.data + static_cast<size_t>(panel) * stride, x, token, rows,
                                                out + token * out_stride + row, out_stride);
      }
    }
  }
}

}  // namespace concerto::kernels::simd
