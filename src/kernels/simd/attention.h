// Attention, written once for every vector ISA. Meaning and order: AttentionJob in kernels.h.
//
// A tile is up to kTileRows (token, head) rows that share one kv head. For each KV block, scores of kRows rows x
// kVectors vectors of positions are summed in registers (each K vector loaded once for kRows rows), then the softmax
// step of each row, then outputs of kRows rows x kVectors vectors of dims (each V vector loaded once). Both products
// are the same inner loop over pairs. A row that doesn't see some of a block's positions gives them weight 0, which
// changes no bit. While a tile of K or V is multiplied, the tile that comes after it is prefetched line by line: in a
// decode step both come from memory, where the hardware prefetcher stops at every page. P (Pairs) says how pairs of
// bf16 are kept and multiplied on the ISA. Included by files built with ISA flags.
#pragma once

#include "kernels/kernels.h"
#include "kernels/math.h"
#include "kernels/simd/vector_ops.h"

namespace concerto::kernels::simd {

inline constexpr int kTileRows = 24;  // a multiple of kRows
inline constexpr int kRowLanes = (kTileRows + 15) / 16 * 16;
inline constexpr int kMaxHeadDim = 256;

template <class P>
struct AttentionTile {
  alignas(64) typename P::Row q[kTileRows][kMaxHeadDim];
  alignas(64) typename P::Row w[kTileRows][kKvBlockTokens];
  alignas(64) float s[kTileRows][kKvBlockTokens];
  alignas(64) float o[kTileRows][kMaxHeadDim];
  alignas(64) float m[kRowLanes];
  alignas(64) float l[kRowLanes];
  alignas(64) float c[kRowLanes];
  alignas(64) float block_max[kRowLanes];
  alignas(64) float block_sum[kRowLanes];
  int visible[kTileRows];  // positions that the row sees
  int rows;
};

// One tile of K or V, and the tile of the same size that is read after it (itself: none).
struct TileInTurn {
  const uint16_t* data;
  const uint16_t* next;
};

// sums[r][v] = sum over pairs of rows[r][pair] * b[pair][v], R rows x NV vectors. even_tail: one more, half pair.
// The lines `ahead` values behind those of b are prefetched into the second-level cache.
template <class P, int R, int NV>
CONCERTO_FORCE_INLINE void pair_products(const typename P::Row* rows, ptrdiff_t row_stride, const uint16_t* b,
                                         ptrdiff_t ahead, ptrdiff_t b_stride, int pairs, bool even_tail,
                                         typename P::F (&sums)[R][NV]) noexcept {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) sums[r][v] = P::zero_f();
  }
  const int total = pairs + (even_tail ? 1 : 0);
  for (int j = 0; j < total; ++j) {
    typename P::Pair vectors[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) vectors[v] = P::load_pair(b + v * 32);
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) __builtin_prefetch(b + ahead + v * 32, 0, 2);
    if (j == pairs) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) vectors[v] = P::even_only(vectors[v]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) sums[r][v] = P::dot(sums[r][v], vectors[v], rows + r * row_stride + 2 * j);
    }
    b += b_stride;
  }
}

// Scores of R rows from `row` on for NV vectors of positions from vector `first` on.
template <class P, int R, int NV>
void scores(AttentionTile<P>& t, int row, int first, TileInTurn k, int dims) noexcept {
  typename P::F sums[R][NV];
  pair_products<P, R, NV>(t.q[row], kMaxHeadDim, k.data + first * 32, k.next - k.data, kKvBlockTokens * 2, dims / 2,
                          false, sums);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) P::store_f(t.s[row + r] + (first + v) * 16, sums[r][v]);
  }
}

// Outputs of R rows for NV vectors of dims: o = fma(o, c, products of the first `positions` positions).
template <class P, int R, int NV>
void outputs(AttentionTile<P>& t, int row, int first, TileInTurn v_tile, int dims, int positions) noexcept {
  typename P::F sums[R][NV];
  pair_products<P, R, NV>(t.w[row], kKvBlockTokens, v_tile.data + first * 32, v_tile.next - v_tile.data,
                          static_cast<ptrdiff_t>(dims) * 2, positions / 2, positions % 2 != 0, sums);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const auto c = P::set(t.c[row + r]);
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      float* o = t.o[row + r] + (first + v) * 16;
      P::store_f(o, P::fma(P::load_f(o), c, sums[r][v]));
    }
  }
}

// Covers `vectors` vectors with the widest register tiles that fit. Scores (positions == 0) or outputs.
template <class P, int R, int NV>
void sweep_vectors(AttentionTile<P>& t, int row, int first, int vectors, TileInTurn tile, int dims,
                   int positions) noexcept {
  for (; vectors - first >= NV; first += NV) {
    if (positions == 0) {
      scores<P, R, NV>(t, row, first, tile, dims);
    } else {
      outputs<P, R, NV>(t, row, first, tile, dims, positions);
    }
  }
  if constexpr (NV > 1) {
    if (first < vectors) sweep_vectors<P, R, NV - 1>(t, row, first, vectors, tile, dims, positions);
  }
}

template <class P, int R>
void sweep_rows(int rows, AttentionTile<P>& t, int row, int vectors, TileInTurn tile, int dims,
                int positions) noexcept {
  if (rows == R) {
    sweep_vectors<P, R, P::kVectors>(t, row, 0, vectors, tile, dims, positions);
  } else if constexpr (R > 1) {
    sweep_rows<P, R - 1>(rows, t, row, vectors, tile, dims, positions);
  }
}

// All rows of the tile, in chunks of nearly equal height; the first of them prefetches.
template <class P>
void sweep(AttentionTile<P>& t, int vectors, TileInTurn tile, int dims, int positions) noexcept {
  const int chunks = (t.rows + P::kRows - 1) / P::kRows;
  for (int i = 0, row = 0; i < chunks; ++i) {
    const int rows = (t.rows - row + chunks - i - 1) / (chunks - i);
    sweep_rows<P, P::kRows>(rows, t, row, vectors, tile, dims, positions);
    row += rows;
    tile.next = tile.data;
  }
}

// Scores of vector v of row r, hidden positions -inf; n = positions of the block that the row sees, any sign.
template <class P>
CONCERTO_FORCE_INLINE typename P::F seen_scores(const AttentionTile<P>& t, int r, int v, int n) noexcept {
  const auto s = P::load_f(t.s[r] + v * 16);
  if (n >= v * 16 + 16) return s;
  const auto hidden = P::set(-__builtin_inff());
  return n <= v * 16 ? hidden : P::first_or(s, n - v * 16, hidden);
}

// All rows' weights of the block that starts at position `first`. Three passes, each of independent rows: a row by
// itself would be one long chain of latencies.
template <class P>
void softmax_step(AttentionTile<P>& t, int first) noexcept {
  using F = typename P::F;
  constexpr int kVectors = kKvBlockTokens / 16;
  for (int r = 0; r < t.rows; ++r) {
    const int n = t.visible[r] - first;
    F best = seen_scores(t, r, 0, n);
#pragma GCC unroll 4
    for (int v = 1; v < kVectors; ++v) best = P::max_f(seen_scores(t, r, v, n), best);
    t.block_max[r] = P::max16(best);
  }
  for (int r = 0; r < t.rows; r += 16) {  // 16 rows are lanes; those past the end compute unused values
    const F old = P::load_f(t.m + r);
    const F m = P::max_f(P::load_f(t.block_max + r), old);
    P::store_f(t.c + r, exp2_neg_lanes<P>(P::sub_f(old, m)));
    P::store_f(t.m + r, m);
  }
  for (int r = 0; r < t.rows; ++r) {
    const int n = t.visible[r] - first;
    const F offset = P::set(t.m[r]);
    F sum = P::zero_f();
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const F w = exp2_neg_lanes<P>(P::sub_f(seen_scores(t, r, v, n), offset));
      sum = P::add_f(sum, P::store_row(t.w[r] + v * 16, w));
    }
    t.block_sum[r] = P::sum16(sum);
  }
  for (int r = 0; r < t.rows; r += 16) {
    P::store_f(t.l + r, P::fma(P::load_f(t.l + r), P::load_f(t.c + r), P::load_f(t.block_sum + r)));
  }
}

CONCERTO_FORCE_INLINE const uint16_t* block_at(const AttentionJob& job, int position) noexcept {
  return job.kv + static_cast<size_t>(job.blocks[position / kKvBlockTokens]) * job.block_values;
}

template <class P>
void attention_tile(const AttentionJob& job, int first_row, AttentionTile<P>& t) noexcept {
  const int dims = job.head_dim;
  const float scale2 = job.scale * kLog2E;
  int most = 0;
  for (int r = 0; r < t.rows; ++r) {
    const int token = (first_row + r) / job.group;
    const int head = (first_row + r) % job.group;
    const float* q = job.q + token * job.q_stride + static_cast<ptrdiff_t>(head) * dims;
    for (int k = 0; k < dims; k += 16) {
      alignas(32) uint16_t rounded[16];
      P::store_bf16(rounded, P::mul_f(P::load_f(q + k), P::set(scale2)));
      P::widen_row(t.q[r] + k, rounded);
      P::store_f(t.o[r] + k, P::zero_f());
    }
    t.m[r] = -__builtin_inff();
    t.l[r] = 0;
    t.visible[r] = job.first_position + token + 1;
    most = t.visible[r];  // tokens ascend
  }
  const uint16_t* block = block_at(job, 0);
  for (int first = 0; first < most; first += kKvBlockTokens) {
    const int positions = most - first < kKvBlockTokens ? most - first : kKvBlockTokens;
    const uint16_t* k = block + job.k_offset;
    const uint16_t* v = block + job.v_offset;
    if (first + kKvBlockTokens < most) block = block_at(job, first + kKvBlockTokens);
    sweep(t, (positions + 15) / 16, {k, v}, dims, 0);
    softmax_step(t, first);
    sweep(t, dims / 16, {v, block + job.k_offset}, dims, positions);
  }
  for (int r = 0; r < t.rows; ++r) {
    const int token = (first_row + r) / job.group;
    const int head = (first_row + r) % job.group;
    float* out = job.out + token * job.out_stride + static_cast<ptrdiff_t>(head) * dims;
    const auto l = P::set(t.l[r]);
    for (int k = 0; k < dims; k += 16) P::store_f(out + k, P::div_f(P::load_f(t.o[r] + k), l));
  }
}

template <class P>
void attention(const AttentionJob& job) noexcept {
  AttentionTile<P> t;
  for (int r = 0; r < kRowLanes; ++r) t.m[r] = t.l[r] = t.block_max[r] = t.block_sum[r] = 0;  // lanes without a row
  const int rows = job.queries * job.group;
  for (int row = 0; row < rows; row += kTileRows) {
    t.rows = rows - row < kTileRows ? rows - row : kTileRows;
    attention_tile(job, row, t);
  }
}

}  // namespace concerto::kernels::simd
