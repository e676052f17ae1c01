#include "model/forward_pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "model/angles.h"

namespace concerto::model {

using kernels::activation_block;
using kernels::Activations;
using kernels::kKvBlockTokens;
using kernels::kPanelRows;
using kernels::PackedMatrix;

namespace {

constexpr int kQueriesPerRun = 32;   // queries of one attention job: enough to share the reading of K and V
constexpr int kInlineTokens = 4;     // up to so many rows, a barrier costs more than the work it would share
constexpr int kChunksPerWorker = 8;  // enough that the last one's end is soon
constexpr int kPartTokens = 32;      // tokens that are worth a pass over the weights of their own

// Panels [begin, end) as a matrix of their own.
PackedMatrix panels_of(const PackedMatrix& w, int begin, int end) noexcept {
  const size_t panel_bytes = w.bytes / static_cast<size_t>(w.panels());
  PackedMatrix part = w;
  part.rows = std::min(end * kPanelRows, w.rows) - begin * kPanelRows;
  part.data = w.data + static_cast<size_t>(begin) * panel_bytes;
  part.bytes = static_cast<size_t>(end - begin) * panel_bytes;
  return part;
}

// Rows [begin, end).
Activations rows_of(const Activations& x, int begin, int end) noexcept {
  const auto first = static_cast<size_t>(begin);
  const auto stride = static_cast<size_t>(Activations::q_stride(x.cols));
  const size_t sum = first * (stride / kernels::kSumBlock);
  Activations part = x;
  part.tokens = end - begin;
  part.f32 += first * static_cast<size_t>(x.cols);
  part.q += first * stride;
  part.scales += first * static_cast<size_t>(Activations::blocks(x.cols, x.block));
  part.wide += first * static_cast<size_t>(Activations::blocks(x.cols, x.block));
  part.sums += sum;
  part.offsets16 += sum * 2;
  part.neg_sums += sum;
  part.float_sums += sum;
  return part;
}

// f(first, count) for tiles of the tokens [begin, end).
template <class F>
void for_tiles(TokenRange tokens, F&& f) {
  for (int first = tokens.begin; first < tokens.end; first += kTokenTile)
    f(first, std::min(kTokenTile, tokens.end - first));
}

}  // namespace

ForwardPass::ForwardPass(const DecoderParts& parts, const Batch& batch, uint16_t* kv, base::ThreadPool& pool,
                         const Workspace& workspace)
    : c_(parts.config),
      w_(parts.weights),
      k_(parts.table),
      frequencies_(parts.rope_frequencies),
      batch_(batch),
      kv_(kv),
      pool_(pool),
      s_(workspace),
      layout_{.layers = c_.n_layers, .kv_heads = c_.n_kv_heads, .head_dim = c_.head_dim},
      tokens_(static_cast<int>(batch.tokens.size())),
      q_width_(c_.n_heads * c_.head_dim) {}

void ForwardPass::run(float* logits) {
  check_batch();
  std::vector<int32_t> all(batch_.tokens.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  const auto every_run = query_runs(all);
  const auto logit_runs = query_runs(batch_.logit_rows);
  embed();
  int rows = tokens_;
  for (int l = 0; l < c_.n_layers; ++l) {
    const auto& w = w_.layers()[static_cast<size_t>(l)];
    const bool last = l + 1 == c_.n_layers;
    norm_and_quantise(w.attn_norm, tokens_, {w.q.type, w.k.type, w.v.type});
    store_qkv(l);
    if (last) {
      rows = static_cast<int>(batch_.logit_rows.size());
      if (rows == 0) return;
      keep_logit_rows();
    }
    attend(l, last ? logit_runs : every_run, rows);
    feed_forward(w, rows);
    if (batch_.abandon && batch_.abandon()) return;
  }
  head(rows, logits);
}

void ForwardPass::check_batch() const {
  for (size_t i = 0; i < batch_.tokens.size(); ++i) {
    const auto& token = batch_.tokens[i];
    CHECK(token.token >= 0 && token.token < c_.n_vocab);
    CHECK(token.sequence >= 0 && static_cast<size_t>(token.sequence) < batch_.block_tables.size());
    CHECK(token.position >= 0 && static_cast<size_t>(token.position / kKvBlockTokens) <
                                     batch_.block_tables[static_cast<size_t>(token.sequence)].size());
    if (i == 0 || token.sequence != batch_.tokens[i - 1].sequence) continue;
    CHECK(token.position == batch_.tokens[i - 1].position + 1);
  }
  for (size_t i = 0; i < batch_.logit_rows.size(); ++i) {
    CHECK(batch_.logit_rows[i] >= 0 && batch_.logit_rows[i] < tokens_);
    CHECK(i == 0 || batch_.logit_rows[i] > batch_.logit_rows[i - 1]);
  }
}

// The given batch rows, in order, as runs of neighbours of one sequence; the longest contexts first, so that no worker
// is left alone with one at the end.
std::vector<ForwardPass::QueryRun> ForwardPass::query_runs(std::span<const int32_t> rows) const {
  std::vector<QueryRun> runs;
  for (size_t i = 0; i < rows.size(); ++i) {
    const int row = rows[i];
    if (!runs.empty()) {
      auto& run = runs.back();
      if (run.token + run.count == row && run.count < kQueriesPerRun &&
          batch_.tokens[static_cast<size_t>(run.token)].sequence == batch_.tokens[static_cast<size_t>(row)].sequence) {
        ++run.count;
        continue;
      }
    }
    runs.push_back({.token = row, .out_row = static_cast<int>(i), .count = 1});
  }
  const auto work = [&](const QueryRun& run) {
    return int64_t{batch_.tokens[static_cast<size_t>(run.token)].position + run.count} * run.count;
  };
  std::stable_sort(runs.begin(), runs.end(), [&](const auto& a, const auto& b) { return work(a) > work(b); });
  return runs;
}

int ForwardPass::chunk_panels(int panels) const noexcept {
  return std::clamp(panels / (pool_.size() * kChunksPerWorker), 1, kMaxChunkPanels);
}

// f(tokens, begin, end, worker) for units [begin, end) of panels or heads and a range of the rows. Many rows are split
// among the workers before the units are, the same rows to the same worker in every phase of a layer: between the
// caches of two cores a row travels slower than weights come from memory.
template <class F>
void ForwardPass::for_parts(int rows, int units, int grain, F&& f) {
  const int parts = std::clamp(rows / kPartTokens, 1, pool_.size());
  const int chunks = (units + grain - 1) / grain;
  pool_.parallel_runs(parts * chunks, 1, [&](int first, int last, int worker) {
    for (int i = first; i < last; ++i) {
      const int part = i / chunks;
      const int begin = i % chunks * grain;
      f(TokenRange{rows * part / parts, rows * (part + 1) / parts}, begin, std::min(begin + grain, units), worker);
    }
  });
}

void ForwardPass::embed() {
  const auto half = static_cast<size_t>(c_.head_dim) / 2;
  pool_.parallel_runs(tokens_, kInlineTokens, [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t) {
      const auto& token = batch_.tokens[static_cast<size_t>(t)];
      const auto row = static_cast<size_t>(t);
      w_.embed(token.token, s_.x + row * static_cast<size_t>(c_.n_embd));
      rope_angles(frequencies_, token.position, s_.cos + row * half, s_.sin + row * half);
    }
  });
}

ForwardPass::Forms::Forms(std::initializer_list<base::TensorType> types) noexcept {
  for (const auto type : types) {
    if (!kernels::uses_int8(type)) continue;
    (kernels::activation_block(type) == kernels::kSumBlock ? fine : coarse) = true;
  }
}

// mix[t] = norm(x[t]) * weight for the first `rows` rows, and its quantised forms.
void ForwardPass::norm_and_quantise(const float* weight, int rows, Forms forms) {
  const auto width = static_cast<size_t>(c_.n_embd);
  pool_.parallel_runs(rows, kInlineTokens, [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t)
      k_.rms_norm(s_.x + static_cast<size_t>(t) * width, weight, c_.rms_eps, c_.n_embd,
                  s_.mix + static_cast<size_t>(t) * width);
    quantise_rows(s_.mix, rows, c_.n_embd, forms, begin, end);
  });
}

void ForwardPass::quantise(const float* f32, int tokens, int cols, Forms forms) {
  if (!forms.coarse && !forms.fine) return;
  pool_.parallel_runs(tokens, kInlineTokens,
                      [&](int begin, int end, int) { quantise_rows(f32, tokens, cols, forms, begin, end); });
}

void ForwardPass::quantise_rows(const float* f32, int tokens, int cols, Forms forms, int begin, int end) const {
  if (forms.coarse) k_.quantize(s_.activations(tokens, cols, f32, kernels::kQuantBlock), begin, end);
  if (forms.fine) k_.quantize(s_.activations(tokens, cols, f32, kernels::kSumBlock), begin, end);
}

void ForwardPass::store_qkv(int layer) {
  const auto& w = w_.layers()[static_cast<size_t>(layer)];
  for_parts(tokens_, c_.n_kv_heads + c_.n_heads, 1, [&](TokenRange tokens, int unit, int, int worker) {
    if (unit < c_.n_kv_heads) {  // the larger jobs first
      kv_head(w, layer, unit, tokens, s_.scratch + static_cast<size_t>(worker) * s_.scratch_floats);
    } else {
      query_head(w, unit - c_.n_kv_heads, tokens);
    }
  });
}

void ForwardPass::query_head(const LayerWeights& w, int h, TokenRange tokens) {
  const int panels = c_.head_dim / kPanelRows;
  const auto matrix = panels_of(w.q, h * panels, (h + 1) * panels);
  const auto act = s_.activations(tokens_, c_.n_embd, s_.mix, activation_block(w.q.type));
  const auto half = static_cast<size_t>(c_.head_dim) / 2;
  for_tiles(tokens, [&](int first, int count) {
    float* out = s_.q + static_cast<size_t>(first) * static_cast<size_t>(q_width_) + h * c_.head_dim;
    k_.matmul(matrix, rows_of(act, first, first + count), 0, panels, out, q_width_);
    for (int t = 0; t < count; ++t, out += q_width_) {
      if (w.q_bias != nullptr) k_.add(out, w.q_bias + h * c_.head_dim, c_.head_dim);
      const auto row = static_cast<size_t>(first + t) * half;
      k_.rope(out, s_.cos + row, s_.sin + row, 1, c_.head_dim, c_.rope_neox);
    }
  });
}

void ForwardPass::kv_head(const LayerWeights& w, int layer, int g, TokenRange tokens, float* scratch) {
  const int panels = c_.head_dim / kPanelRows;
  const auto k_matrix = panels_of(w.k, g * panels, (g + 1) * panels);
  const auto v_matrix = panels_of(w.v, g * panels, (g + 1) * panels);
  const auto k_act = s_.activations(tokens_, c_.n_embd, s_.mix, activation_block(w.k.type));
  const auto v_act = s_.activations(tokens_, c_.n_embd, s_.mix, activation_block(w.v.type));
  const auto half = static_cast<size_t>(c_.head_dim) / 2;
  for_tiles(tokens, [&](int first, int count) {
    float* k = scratch;
    float* v = scratch + static_cast<size_t>(kTokenTile) * static_cast<size_t>(c_.head_dim);
    k_.matmul(k_matrix, rows_of(k_act, first, first + count), 0, panels, k, c_.head_dim);
    k_.matmul(v_matrix, rows_of(v_act, first, first + count), 0, panels, v, c_.head_dim);
    for (int t = 0; t < count; ++t, k += c_.head_dim, v += c_.head_dim) {
      const auto index = static_cast<size_t>(first) + static_cast<size_t>(t);
      const auto& token = batch_.tokens[index];
      if (w.k_bias != nullptr) k_.add(k, w.k_bias + g * c_.head_dim, c_.head_dim);
      if (w.v_bias != nullptr) k_.add(v, w.v_bias + g * c_.head_dim, c_.head_dim);
      const size_t row = index * half;
      k_.rope(k, s_.cos + row, s_.sin + row, 1, c_.head_dim, c_.rope_neox);
      const auto& blocks = batch_.block_tables[static_cast<size_t>(token.sequence)];
      uint16_t* block = kv_ + static_cast<size_t>(blocks[static_cast<size_t>(token.position / kKvBlockTokens)]) *
                                  layout_.block_values();
      k_.store_kv(k, v, c_.head_dim, token.position % kKvBlockTokens, block + layout_.k_offset(layer, g),
                  block + layout_.v_offset(layer, g));
    }
  });
}

// x rows of the wanted logits move to the front; logit_rows ascend, so nothing is overwritten before it moved.
void ForwardPass::keep_logit_rows() {
  const auto width = static_cast<size_t>(c_.n_embd);
  for (size_t i = 0; i < batch_.logit_rows.size(); ++i) {
    const auto from = static_cast<size_t>(batch_.logit_rows[i]);
    if (from != i) std::memcpy(s_.x + i * width, s_.x + from * width, width * sizeof(float));
  }
}

// Attention of the runs, then x += o * attention for `rows` rows.
void ForwardPass::attend(int layer, const std::vector<QueryRun>& runs, int rows) {
  const auto& w = w_.layers()[static_cast<size_t>(layer)];
  const int group = c_.n_heads / c_.n_kv_heads;
  const auto width = static_cast<size_t>(q_width_);
  const float scale = 1.0F / std::sqrt(static_cast<float>(c_.head_dim));
  // The heads of a group share the reading of K and V, unless workers would stand idle for that.
  const int groups = static_cast<int>(runs.size()) * c_.n_kv_heads;
  const int parts = std::clamp(pool_.size() / std::max(groups, 1), 1, group);
  pool_.parallel_for(groups * parts, 1, [&](int begin, int end, int) {
    for (int i = begin; i < end; ++i) {
      const auto& run = runs[static_cast<size_t>(i / parts / c_.n_kv_heads)];
      const int g = i / parts % c_.n_kv_heads;
      const int first_head = group * (i % parts) / parts;
      const int heads = group * (i % parts + 1) / parts - first_head;
      const auto& token = batch_.tokens[static_cast<size_t>(run.token)];
      const auto head_offset = static_cast<size_t>(g * group + first_head) * static_cast<size_t>(c_.head_dim);
      k_.attention({.q = s_.q + static_cast<size_t>(run.token) * width + head_offset,
                    .q_stride = q_width_,
                    .out = s_.mix + static_cast<size_t>(run.out_row) * width + head_offset,
                    .out_stride = q_width_,
                    .queries = run.count,
                    .group = heads,
                    .head_dim = c_.head_dim,
                    .first_position = token.position,
                    .scale = scale,
                    .kv = kv_,
                    .block_values = layout_.block_values(),
                    .k_offset = layout_.k_offset(layer, g),
                    .v_offset = layout_.v_offset(layer, g),
                    .blocks = batch_.block_tables[static_cast<size_t>(token.sequence)].data()});
    }
  });
  quantise(s_.mix, rows, q_width_, {w.o.type});
  add_product(w.o, s_.activations(rows, q_width_, s_.mix, activation_block(w.o.type)));
}

// x += w * act
void ForwardPass::add_product(const PackedMatrix& w, const Activations& act) {
  const auto width = static_cast<size_t>(c_.n_embd);
  const auto add_panels = [&](TokenRange tokens, int begin, int end, int worker) {
    float* product = s_.scratch + static_cast<size_t>(worker) * s_.scratch_floats;
    const auto matrix = panels_of(w, begin, end);
    for_tiles(tokens, [&](int first, int count) {
      k_.matmul(matrix, rows_of(act, first, first + count), 0, matrix.panels(), product, matrix.rows);
      for (int t = 0; t < count; ++t)
        k_.add(s_.x + static_cast<size_t>(first + t) * width + begin * kPanelRows, product + t * matrix.rows,
               matrix.rows);
    });
  };
  for_parts(act.tokens, w.panels(), chunk_panels(w.panels()), add_panels);
}

void ForwardPass::feed_forward(const LayerWeights& w, int rows) {
  norm_and_quantise(w.ffn_norm, rows, {w.gate.type, w.up.type});
  const auto gate_act = s_.activations(rows, c_.n_embd, s_.mix, activation_block(w.gate.type));
  const auto up_act = s_.activations(rows, c_.n_embd, s_.mix, activation_block(w.up.type));
  const auto width = static_cast<size_t>(c_.n_ff);
  const auto mix_panels = [&](TokenRange tokens, int begin, int end, int worker) {
    float* gate = s_.scratch + static_cast<size_t>(worker) * s_.scratch_floats;
    float* up = gate + kTokenTile * kMaxChunkPanels * kPanelRows;
    const auto gate_part = panels_of(w.gate, begin, end);
    const auto up_part = panels_of(w.up, begin, end);
    const int n = gate_part.rows;
    for_tiles(tokens, [&](int first, int count) {
      k_.matmul(gate_part, rows_of(gate_act, first, first + count), 0, gate_part.panels(), gate, n);
      k_.matmul(up_part, rows_of(up_act, first, first + count), 0, up_part.panels(), up, n);
      for (int t = 0; t < count; ++t)
        k_.silu_mul(gate + t * n, up + t * n, n,
                    s_.hidden + static_cast<size_t>(first + t) * width + begin * kPanelRows);
    });
  };
  for_parts(rows, w.gate.panels(), chunk_panels(w.gate.panels()), mix_panels);
  quantise(s_.hidden, rows, c_.n_ff, {w.down.type});
  add_product(w.down, s_.activations(rows, c_.n_ff, s_.hidden, activation_block(w.down.type)));
}

void ForwardPass::head(int rows, float* logits) {
  const auto& w = w_.head();
  norm_and_quantise(w_.final_norm(), rows, {w.type});
  const auto act = s_.activations(rows, c_.n_embd, s_.mix, activation_block(w.type));
  for_parts(rows, w.panels(), kMaxChunkPanels, [&](TokenRange tokens, int begin, int end, int) {
    for_tiles(tokens, [&](int first, int count) {
      k_.matmul(w, rows_of(act, first, first + count), begin, end,
                logits + static_cast<size_t>(first) * static_cast<size_t>(c_.n_vocab), c_.n_vocab);
    });
  });
}

}  // namespace concerto::model
