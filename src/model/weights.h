// Weights: every tensor of a model, checked against its config and repacked for the kernels into one arena.
//
// Resident memory stays near 1x: source pages are dropped as soon as they are packed. With a tied head the embedding
// rows are read out of the packed head; otherwise out of the mapped file, which then stays open. Immutable after load.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "formats/mapped_file.h"
#include "formats/tensor_file.h"
#include "kernels/kernels.h"
#include "model/arch/architecture.h"
#include "model/arena.h"
#include "model/config.h"
#include "model/sidecar.h"

namespace concerto::model {

struct LayerWeights {
  kernels::PackedMatrix q, k, v;     // [H*K, D], [G*K, D], [G*K, D]
  kernels::PackedMatrix o;           // [D, H*K]
  kernels::PackedMatrix gate, up;    // [F, D]
  kernels::PackedMatrix down;        // [D, F]
  const float* attn_norm = nullptr;  // [D]
  const float* ffn_norm = nullptr;   // [D]
  const float* q_bias = nullptr;     // [H*K], nullptr without biases; likewise:
  const float* k_bias = nullptr;     // [G*K]
  const float* v_bias = nullptr;     // [G*K]
};

struct WeightOptions {
  std::optional<base::TensorType> quantize_to;    // for matrices that the file holds as floats
  std::function<void(double fraction)> progress;  // may be empty; called from the loading thread
  SidecarUse sidecar = SidecarUse::kIgnore;
  std::string sidecar_path;
};

class Weights {
 public:
  static base::Result<std::unique_ptr<Weights>> load(std::unique_ptr<formats::TensorFile> file,
                                                     const ModelConfig& config, const TensorNames& names,
                                                     base::ThreadPool& pool, const WeightOptions& options);

  [[nodiscard]] const std::vector<LayerWeights>& layers() const noexcept { return layers_; }
  [[nodiscard]] const float* final_norm() const noexcept { return final_norm_; }      // [D]
  [[nodiscard]] const kernels::PackedMatrix& head() const noexcept { return head_; }  // [V, D]
  // The embedding of a token in [0, V) -> out [D]. Any thread.
  void embed(int token, float* out) const noexcept;
  [[nodiscard]] size_t bytes() const noexcept { return bytes_; }            // in memory
  [[nodiscard]] const std::string& hash() const noexcept { return hash_; }  // digest.h

 private:
  friend class WeightLoader;
  Weights() = default;

  Arena arena_;                                   // the packed matrices, or
  std::unique_ptr<formats::MappedFile> sidecar_;  // where they are mapped from
  std::vector<float> floats_;                     // norms and biases
  std::vector<LayerWeights> layers_;
  kernels::PackedMatrix head_;
  const float* final_norm_ = nullptr;
  std::unique_ptr<formats::TensorFile> file_;       // only while embedding_ points into it
  const formats::TensorInfo* embedding_ = nullptr;  // nullptr: tied, read from head_
  size_t bytes_ = 0;
  std::string hash_;
};

// The type a float matrix is quantised to when `wanted` is asked for: `wanted` when its blocks divide `cols`, else the
// closest type that does (as published files choose: Q4_K -> Q5_0, Q5_K -> Q5_1, Q6_K -> Q8_0). nullopt when none does.
std::optional<base::TensorType> fitting_type(base::TensorType wanted, int cols) noexcept;

}  // namespace concerto::model
