#include "model/workspace.h"

#include <algorithm>
#include <new>

namespace concerto::model {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

void Workspace::Free::operator()(std::byte* p) const noexcept { ::operator delete(p, std::align_val_t{kAlignment}); }

// Lays the buffers out one after the other from `base`; returns their bytes in all.
size_t Workspace::place(const ModelConfig& c, int tokens, int workers, std::byte* base) noexcept {
  size_t at = 0;
  const auto take = [&]<class T>(T*& target, size_t rows, size_t columns) {
    target = base == nullptr ? nullptr : reinterpret_cast<T*>(base + at);
    at += (rows * columns * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  };
  const auto rows = static_cast<size_t>(tokens);
  const int q_width = c.n_heads * c.head_dim;
  const int widest = std::max({c.n_embd, q_width, c.n_ff});
  take(x, rows, static_cast<size_t>(c.n_embd));
  take(mix, rows, static_cast<size_t>(std::max(c.n_embd, q_width)));
  take(q, rows, static_cast<size_t>(q_width));
  take(hidden, rows, static_cast<size_t>(c.n_ff));
  take(cos, rows, static_cast<size_t>(c.head_dim) / 2);
  take(sin, rows, static_cast<size_t>(c.head_dim) / 2);
  take(coarse_, 1, kernels::Activations::bytes(tokens, widest, kernels::kQuantBlock));
  take(fine_, 1, kernels::Activations::bytes(tokens, widest, kernels::kSumBlock));
  // k and v of a tile of one head, or gate and up of a tile of one chunk.
  const int width = 2 * std::max(c.head_dim, kMaxChunkPanels * kernels::kPanelRows);
  scratch_floats = static_cast<size_t>(kTokenTile) * static_cast<size_t>(width);
  take(scratch, static_cast<size_t>(workers), scratch_floats);
  return at;
}

size_t Workspace::bytes_for(const ModelConfig& config, int tokens, int workers) noexcept {
  return Workspace().place(config, tokens, workers, nullptr);
}

void Workspace::reserve(const ModelConfig& config, int tokens, int workers) {
  if (tokens <= tokens_ && workers <= workers_) return;
  tokens_ = std::max(tokens, tokens_);
  workers_ = std::max(workers, workers_);
  memory_.reset();
  memory_.reset(
      static_cast<std::byte*>(::operator new(bytes_for(config, tokens_, workers_), std::align_val_t{kAlignment})));
  place(config, tokens_, workers_, memory_.get());
}

}  // namespace concerto::model
