// ForwardPass: one batch through the decoder. Lives for one call of Model::forward.
//
// The phases of a layer, each a job on the pool; they meet at a barrier between phases:
//   1. norm + quantise        by tokens (inline for few), into the forms that the matrices read; in all phases a worker
//                             begins with the same tokens when there are many, with the same panels when there are few
//   2. q, k, v + bias + rope + KV store   by heads: a head is whole panels, so nothing needs a barrier in between
//   3. attention              by (run of queries, kv head), the longest first; by parts of its group when those are few
//   4. quantise | o + residual by panels
//   5. norm + quantise | gate, up + silu by panels | quantise | down + residual by panels
// Every value depends on its own token alone and is computed in the same order whoever computes it (engine contract).
// In the last layer only the rows whose logits are wanted go on after the KV store.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "model/config.h"
#include "model/model.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace concerto::model {

struct DecoderParts {
  const ModelConfig& config;
  const Weights& weights;
  const kernels::KernelTable& table;
  const std::vector<double>& rope_frequencies;
};

// Rows of a batch.
struct TokenRange {
  int begin = 0;
  int end = 0;
};

class ForwardPass {
 public:
  // workspace: reserved for batch.tokens.size() tokens and the pool's workers.
  ForwardPass(const DecoderParts& parts, const Batch& batch, uint16_t* kv, base::ThreadPool& pool,
              const Workspace& workspace);
  void run(float* logits);

 private:
  // Consecutive tokens of one sequence whose attention is computed together.
  struct QueryRun {
    int token = 0;    // first, index into the batch
    int out_row = 0;  // of the first; the others follow
    int count = 0;
  };

  void check_batch() const;
  void embed();
  // The int8 forms of an input that its matrices read: scales per 256 columns, per 32, both or neither.
  struct Forms {
    bool coarse = false;
    bool fine = false;
    Forms(std::initializer_list<base::TensorType> types) noexcept;
  };

  void norm_and_quantise(const float* weight, int rows, Forms forms);
  void quantise(const float* f32, int tokens, int cols, Forms forms);
  void quantise_rows(const float* f32, int tokens, int cols, Forms forms, int begin, int end) const;
  void store_qkv(int layer);
  void query_head(const LayerWeights& w, int h, TokenRange tokens);
  void kv_head(const LayerWeights& w, int layer, int g, TokenRange tokens, float* scratch);
  void attend(int layer, const std::vector<QueryRun>& runs, int rows);
  void add_product(const kernels::PackedMatrix& w, const kernels::Activations& x);
  void feed_forward(const LayerWeights& w, int rows);
  void head(int rows, float* logits);
  void keep_logit_rows();
  [[nodiscard]] std::vector<QueryRun> query_runs(std::span<const int32_t> rows) const;
  template <class F>
  void for_parts(int rows, int units, int grain, F&& f);
  [[nodiscard]] int chunk_panels(int panels) const noexcept;

  const ModelConfig& c_;
  const Weights& w_;
  const kernels::KernelTable& k_;
  const std::vector<double>& frequencies_;
  const Batch& batch_;
  uint16_t* kv_;
  base::ThreadPool& pool_;
  const Workspace& s_;
  kernels::KvLayout layout_;
  int tokens_;
  int q_width_;
};

}  // namespace concerto::model
