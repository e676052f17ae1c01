// Workspace: the memory of one forward pass. Grows to the largest batch seen and is kept; owned by the model.
//
// Dimensions as in kernels.h; W workers. Every buffer is 64-byte aligned.
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/kernels.h"
#include "model/config.h"

namespace concerto::model {

// Tokens that a matrix product takes at a time: their quantised activations stay in the second-level cache while the
// panels of a chunk pass over them. Results do not depend on it.
inline constexpr int kTokenTile = 64;
// The most panels of a matrix a worker takes at a time.
inline constexpr int kMaxChunkPanels = 4;

class Workspace {
 public:
  // Bytes of the buffers for a batch of `tokens` on `workers` threads.
  static size_t bytes_for(const ModelConfig& config, int tokens, int workers) noexcept;

  void reserve(const ModelConfig& config, int tokens, int workers);

  float* x = nullptr;        // [T, D] the residual stream
  float* mix = nullptr;      // [T, max(D, H*K)] normed rows, then the output of attention
  float* q = nullptr;        // [T, H*K] queries
  float* hidden = nullptr;   // [T, F] silu(gate) * up
  float* cos = nullptr;      // [T, K/2] of each token's position
  float* sin = nullptr;      // [T, K/2]
  float* scratch = nullptr;  // [W, scratch_floats] each worker's own
  size_t scratch_floats = 0;

  // The quantised activations of the phase that runs, for rows of `cols` floats at `f32`, in the form with `block`
  // columns a scale (kernels::activation_block): each form has memory of its own.
  [[nodiscard]] kernels::Activations activations(int tokens, int cols, const float* f32, int block) const noexcept {
    return kernels::Activations::bind(block == kernels::kSumBlock ? fine_ : coarse_, f32, tokens, cols, block);
  }

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept;
  };
  size_t place(const ModelConfig& config, int tokens, int workers, std::byte* base) noexcept;

  std::unique_ptr<std::byte, Free> memory_;
  int tokens_ = 0;
  int workers_ = 0;
  std::byte* coarse_ = nullptr;  // Activations::bytes(T, max cols, 256)
  std::byte* fine_ = nullptr;    // Activations::bytes(T, max cols, 32)
};

}  // namespace concerto::model
