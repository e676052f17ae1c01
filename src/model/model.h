// Model: weights packed for the kernels plus the forward pass. Immutable after load; one forward at a time.
//
// The KV memory belongs to the caller (engine/kv_pool); the model only reads and writes the blocks it is told to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "model/config.h"
#include "model/sidecar.h"

namespace concerto::model {

struct LoadOptions {
  const kernels::KernelTable* table = nullptr;    // nullptr: kernels::best_table()
  std::optional<base::TensorType> quantize_to;    // float matrices (not norms) are quantised while loading
  std::function<void(double fraction)> progress;  // may be empty; called from the loading thread
  SidecarUse sidecar = SidecarUse::kRead;
};

// One token to compute. Tokens of one sequence are adjacent in the batch, positions ascending by one.
struct BatchToken {
  int32_t token = 0;
  int32_t position = 0;
  int32_t sequence = 0;  // index into Batch::block_tables
};

struct Batch {
  std::span<const BatchToken> tokens;
  std::span<const std::span<const int32_t>> block_tables;  // per sequence: pool block of positions [64j, 64j+64)
  std::span<const int32_t> logit_rows;                     // indices into tokens whose logits are wanted, ascending
  // Asked between layers, on the calling thread. True leaves the rest out: the logits, and what the blocks hold at
  // these tokens' positions, mean nothing then.
  std::function<bool()> abandon = nullptr;
};

class Model {
 public:
  // path: a .gguf file, or a Hugging Face folder (config.json + *.safetensors).
  static base::Result<std::unique_ptr<Model>> load(const std::string& path, base::ThreadPool& pool,
                                                   const LoadOptions& options = {});
  virtual ~Model() = default;

  [[nodiscard]] virtual const ModelConfig& config() const = 0;
  [[nodiscard]] virtual kernels::KvLayout kv_layout() const = 0;
  [[nodiscard]] virtual size_t weight_bytes() const = 0;      // packed weights in memory
  [[nodiscard]] virtual const std::string& hash() const = 0;  // hex digest that names these weights in decision records

  // Upper bound of the bytes that forward() needs for a batch of `tokens` with `logit_rows` logits.
  [[nodiscard]] virtual size_t workspace_bytes(int tokens, int logit_rows) const = 0;

  // Computes the batch: writes K and V of each token into its sequence's blocks, then logits [logit_rows, V] row-major.
  // Preconditions (CHECKed): ids in [0, V), blocks cover every position. kv: the pool's base.
  virtual void forward(const Batch& batch, uint16_t* kv, float* logits, base::ThreadPool& pool) = 0;
};

}  // namespace concerto::model
