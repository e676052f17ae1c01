// The kernel table: every function the engine spends time in, one table per instruction set, all with the same bits.
//
// CONTRACT (engine determinism). `generic` defines the meaning of each function, operation by operation; avx2, avx512
// and neon must return identical bits for every input. Therefore:
//  - integer dot products are exact (int32, any order);
//  - a value y[t][r] of matmul depends only on token t and row r, never on T, the other tokens, or the panel split;
//  - float operations happen in the order written at each function below, fused only where "fma" is written;
//  - reductions run on 16 virtual lanes (lane i sums elements i, i+16, ...), then the fixed tree
//    8+8, 4+4, 2+2, 1+1 (lane j += lane j+half);
//  - exp, silu, rope angles, rounding are this project's own fixed formulas (kernels/math.h): no libm.
// Functions are pure, noexcept, allocate nothing, and may be called from any thread on disjoint outputs.
//
// Dimensions: T tokens, D n_embd, H heads, G kv heads, K head_dim, F n_ff, V vocab, C context, L layers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace concerto::kernels {

inline constexpr int kPanelRows = 16;      // rows interleaved in one packed panel = 16 float lanes
inline constexpr int kQuantBlock = 256;    // columns of a packed block, and the most that share an activation scale
inline constexpr int kSumBlock = 32;       // sums of quantised activations are kept per 32 columns
inline constexpr int kKvBlockTokens = 64;  // positions per KV block: attention merges blocks in this size, in order

// --- Weights -----------------------------------------------------------------------------------------------------

// A weight matrix [rows, cols] (rows = outputs) repacked into panels of 16 rows; layout per type in kernels/pack.h.
// Does not own `data` (64-byte aligned).
struct PackedMatrix {
  base::TensorType type = base::TensorType::kF32;
  int rows = 0;
  int cols = 0;
  const std::byte* data = nullptr;
  size_t bytes = 0;
  [[nodiscard]] int panels() const noexcept { return (rows + kPanelRows - 1) / kPanelRows; }
};

// Bytes that pack() writes for a matrix of this type and shape. cols must be a multiple of the type's block_weights.
size_t packed_bytes(base::TensorType type, int rows, int cols) noexcept;

// Repacks rows [panel_begin*16, min(panel_end*16, rows)) of the file's row-major blocks (file_rows = row 0 of the
// matrix) into out (start of the whole packed matrix, 64-byte aligned). Independent of the ISA. Rows past the end are
// zero weights.
void pack(base::TensorType type, int rows, int cols, const std::byte* file_rows, int panel_begin, int panel_end,
          std::byte* out) noexcept;

// Row `row` of a packed matrix back as floats [cols], bit-equal to quant::codec(type).decode of the file's row (token
// embeddings read from a tied head).
void unpack_row(const PackedMatrix& w, int row, float* out) noexcept;

// True for types whose products use the int8 activations, false for F32/F16/BF16 (which use the float ones).
bool uses_int8(base::TensorType type) noexcept;

// Columns that share one scale in the activations which matmul of this type reads (Activations::block). The types with
// one scale per 32 weights take as fine a scale of the activations: with one per 256 the perplexity of Q4_1 files rises
// by 1.5%. Types that read the float activations take either.
constexpr int activation_block(base::TensorType type) noexcept {
  switch (type) {
    case base::TensorType::kQ4_0:
    case base::TensorType::kQ4_1:
    case base::TensorType::kQ5_0:
    case base::TensorType::kQ5_1:
    case base::TensorType::kQ8_0:
      return 32;
    default:
      return kQuantBlock;
  }
}

// --- Activations -------------------------------------------------------------------------------------------------

// T rows of activations, quantised once and shared by every matrix whose type has this activation_block.
// Block b of row t covers columns [B*b, min(B*b + B, cols)), B = `block`: amax = max |x|, scale = amax / 127 (correctly
// rounded), q = round-half-even(x * (127 / amax)). A block with amax < 2^-119 is all zero with scale 0; a NaN or inf in
// a block makes its scale NaN or inf (so that it reaches the output) and those q zero. cols is a multiple of 32.
// Does not own the arrays; bind() lays them out in one allocation.
struct Activations {
  int tokens = 0;
  int cols = 0;
  int block = kQuantBlock;       // 32 or 256
  const float* f32 = nullptr;    // [T, cols] row-major, the unquantised values
  int8_t* q = nullptr;           // [T, q_stride(cols)] int8, zero padded
  float* scales = nullptr;       // [T, blocks(cols, block)]
  int16_t* sums = nullptr;       // [T, q_stride(cols) / 32] sum of q over each 32 columns
  int32_t* neg_sums = nullptr;   // [T, q_stride(cols) / 32] -sums (shifted, they start the dots of Q4_0, Q5_0, Q8_0)
  int32_t* offsets16 = nullptr;  // [T, q_stride(cols) / 16] -32 * sum of q over 16 columns (starts the dots of Q6_K)
  float* float_sums = nullptr;   // [T, q_stride(cols) / 32] their block's scale * float(sums) (minima of Q4_1, Q5_1)
  // [T, blocks(cols, 256)], only when block is 256: 1 where |q| over some 16 columns of the block add up to more than
  // kNarrowSum, else 0. Products of a block without may be summed in 16 bits: 16 columns of Q6_K stay within
  // 32 * 1023 = 32,736, 32 columns of Q4_K within 15 * 2 * 1023 = 30,690.
  uint8_t* wide = nullptr;
  static constexpr int kNarrowSum = 1023;
  static constexpr int blocks(int cols, int block) noexcept { return (cols + block - 1) / block; }
  // An odd number of cache lines: the rows of a token tile then fall into different sets of the L1 cache.
  static constexpr int q_stride(int cols) noexcept { return ((cols + 63) / 64 | 1) * 64; }

  // Bytes that bind() needs for every array but f32.
  static constexpr size_t bytes(int tokens, int cols, int block) noexcept {
    const size_t q_bytes = static_cast<size_t>(q_stride(cols));
    const size_t row =
        q_bytes + q_bytes / 32 * (4 + 4 + 8 + 2) + static_cast<size_t>(blocks(cols, block)) * (sizeof(float) + 1);
    return row * static_cast<size_t>(tokens);
  }
  // Arrays for `tokens` rows in `storage` (64-byte aligned, bytes(tokens, cols, block) long).
  static Activations bind(std::byte* storage, const float* f32, int tokens, int cols, int block) noexcept {
    Activations x;
    x.tokens = tokens;
    x.cols = cols;
    x.block = block;
    x.f32 = f32;
    const size_t n = static_cast<size_t>(tokens) * static_cast<size_t>(q_stride(cols));
    x.q = reinterpret_cast<int8_t*>(storage);
    x.neg_sums = reinterpret_cast<int32_t*>(storage + n);
    x.float_sums = reinterpret_cast<float*>(storage + n + n / 32 * 4);
    x.offsets16 = reinterpret_cast<int32_t*>(storage + n + n / 32 * 8);
    x.sums = reinterpret_cast<int16_t*>(storage + n + n / 32 * 16);
    x.scales = reinterpret_cast<float*>(storage + n + n / 32 * 18);
    x.wide = reinterpret_cast<uint8_t*>(x.scales + static_cast<size_t>(tokens) * blocks(cols, block));
    return x;
  }
};

// --- Attention ---------------------------------------------------------------------------------------------------

// One KV block of one layer and kv head holds kKvBlockTokens positions in bf16, in pairs, so that one dword is a pair
// of the dimension that a product sums over and 16 dwords are 16 lanes:
//   k: [K/2][64][2]  pairs of dims, lanes = positions
//   v: [32][K][2]    pairs of positions, lanes = dims
// A pool block (all layers, all kv heads) is layers * kv_heads such pairs: offset ((layer * G + g) * 2 + {0: k, 1: v}).
// store_kv writes only its own slot, so tokens of one block may be stored by several threads; memory that no token has
// written yet is never read as a value.
struct KvLayout {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
  [[nodiscard]] size_t tile() const noexcept { return static_cast<size_t>(head_dim) * kKvBlockTokens; }  // bf16 values
  [[nodiscard]] size_t block_values() const noexcept { return tile() * 2 * layers * kv_heads; }
  [[nodiscard]] size_t block_bytes() const noexcept { return block_values() * sizeof(uint16_t); }
  [[nodiscard]] size_t k_offset(int layer, int g) const noexcept {
    return (static_cast<size_t>(layer) * kv_heads + g) * 2 * tile();
  }
  [[nodiscard]] size_t v_offset(int layer, int g) const noexcept { return k_offset(layer, g) + tile(); }
};

// Attention of `queries` consecutive tokens of one sequence, for the `group` query heads that share kv head g.
// Token i sits at position first_position + i and sees positions [0, first_position + i].
// q, k, v and w take part as bf16 (math.h: to_bf16, round to nearest even, |x| < 2^-48 becomes 0, NaN becomes 0,
// clamped to +-2^59, so that no step below can make a denormal, an overflow or a NaN). A pair is summed odd element
// first: that is what the AVX512_BF16 dot product does, here written as two fma.
// Meaning, per query row, over blocks in order (m = -inf, l = 0, o = 0), q being to_bf16(q * (scale * log2(e))):
//   s[p] = 0; for pairs j = 0..K/2-1: s[p] = fma(q[2j+1], k[p][2j+1], s[p]); s[p] = fma(q[2j], k[p][2j], s[p])
//   positions that the row does not see: s[p] = -inf
//   m' = max(m, max over p of s[p]);  c = exp2_neg(m - m');  w[p] = to_bf16(exp2_neg(s[p] - m'))
//   l = fma(l, c, sum16(w over the block))
//   b[k] = 0; for pairs of positions j: b[k] = fma(w[2j+1], v[2j+1][k], b[k]); b[k] = fma(w[2j], v[2j][k], b[k])
//   o[k] = fma(o[k], c, b[k]);  m = m'
// out[k] = o[k] / l.
struct AttentionJob {
  const float* q = nullptr;  // [queries, group, K] with q_stride floats between tokens; heads of the group adjacent
  ptrdiff_t q_stride = 0;
  float* out = nullptr;  // same shape, out_stride floats between tokens; may be q itself
  ptrdiff_t out_stride = 0;
  int queries = 0;
  int group = 0;     // H / G
  int head_dim = 0;  // K, a multiple of 16, <= 256
  int first_position = 0;
  float scale = 0;               // 1 / sqrt(K)
  const uint16_t* kv = nullptr;  // pool base, 64-byte aligned
  size_t block_values = 0;       // bf16 values between pool blocks
  size_t k_offset = 0;           // of this layer and kv head inside a block
  size_t v_offset = 0;
  const int32_t* blocks = nullptr;  // pool block of positions [64j, 64j+64)
};

// --- The table ---------------------------------------------------------------------------------------------------

struct KernelTable {
  const char* name;  // "generic", "avx2", "avx512", "neon"

  // Fills q, scales, every kind of sums and wide of rows [row_begin, row_end) from f32; each row by itself.
  void (*quantize)(const Activations& x, int row_begin, int row_end) noexcept;

  // out[t * out_stride + r] = sum over k of w[r][k] * x[t][k] for all tokens and for rows of panels
  // [panel_begin, panel_end), rows < w.rows only. x.block must be activation_block(w.type) unless the type reads f32.
  // Order: columns in sequence, formula per type in pack.h.
  void (*matmul)(const PackedMatrix& w, const Activations& x, int panel_begin, int panel_end, float* out,
                 ptrdiff_t out_stride) noexcept;

  // out[i] = (x[i] * r) * weight[i], r = 1 / sqrt(sum16(x*x by fma) / n + eps). Any n >= 1.
  void (*rms_norm)(const float* x, const float* weight, float eps, int n, float* out) noexcept;

  // x[i] += y[i]
  void (*add)(float* x, const float* y, int n) noexcept;

  // out[i] = silu(gate[i]) * up[i]; silu(v) = v / (1 + exp(-v))
  void (*silu_mul)(const float* gate, const float* up, int n, float* out) noexcept;

  // Rotates `heads` rows of [K] in place. cos/sin [K/2] belong to the token's position.
  // neox: pairs (i, i + K/2) (qwen2, HF llama); otherwise pairs (2i, 2i+1) (llama GGUF).
  // a' = fma(a, cos, -(b * sin)), b' = fma(a, sin, b * cos).
  void (*rope)(float* x, const float* cos, const float* sin, int heads, int head_dim, bool neox) noexcept;

  // Writes one token's k and v [K] (a multiple of 16) f32 of one kv head into its KV block at slot position % 64, as
  // to_bf16 rounds.
  void (*store_kv)(const float* k, const float* v, int head_dim, int slot, uint16_t* k_tile, uint16_t* v_tile) noexcept;

  void (*attention)(const AttentionJob& job) noexcept;

  // log-sum-exp of x[n]: m = max, then m + log(sum16(exp(x - m))).
  float (*log_sum_exp)(const float* x, int n) noexcept;
};

// The best table for this processor; the environment variable CONCERTO_ISA or select(name) forces one.
const KernelTable& best_table() noexcept;
// "generic" | "avx2" | "avx512" | "neon"; nullptr when unknown, not compiled in, or not runnable here.
const KernelTable* find_table(const char* name) noexcept;

}  // namespace concerto::kernels
