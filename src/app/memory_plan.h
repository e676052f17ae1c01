// MemoryPlan: the memory that this process may come to hold, shared out among its local models before they load.
//
// Each model gets what its own weights are expected to take and an equal part of what all weights leave over; a model
// that takes less leaves more to those after it. So the sum stays within the budget, whatever is asked of the server.
#pragma once

#include <cstddef>
#include <vector>

#include "app/config.h"
#include "base/result.h"

namespace concerto::app {

class MemoryPlan {
 public:
  // `available`: what the process may still take at its start (engine::available_memory()); 0: unknown, which leaves
  // each engine to find out for itself. kOutOfMemory when the weights alone exceed the budget.
  static base::Result<MemoryPlan> make(const Config& config, size_t available);

  // For the next local tier: weights, conversations and working memory. 0: not known.
  [[nodiscard]] size_t next() const;
  // What that tier may come to hold, now that it is loaded.
  void took(size_t bytes);

  [[nodiscard]] size_t total() const noexcept { return total_; }

 private:
  size_t total_ = 0;
  size_t left_ = 0;
  std::vector<size_t> expected_;  // of the tiers still to be loaded, in order: weights and working memory
};

// What a model's weights will take in memory: about the bytes of its file, less when they are quantised at load.
size_t expected_weight_bytes(const std::string& model, const std::string& quantize);

}  // namespace concerto::app
