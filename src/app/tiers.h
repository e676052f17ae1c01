// Tiers: from a [[tier]] of the configuration to a Backend that answers.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/config.h"
#include "base/clock.h"
#include "base/result.h"
#include "cascade/backend.h"
#include "desk/cases.h"
#include "engine/engine.h"
#include "net/http_client.h"

namespace concerto::app {

// What tiers need of the product; all of it outlives them.
struct TierContext {
  desk::Cases* cases = nullptr;
  net::HttpClient* client = nullptr;
  const base::Clock* clock = nullptr;
  size_t memory_bytes = 0;  // of a local tier, as EngineOptions::memory_bytes
};

struct LoadedTier {
  std::shared_ptr<cascade::Backend> backend;
  std::shared_ptr<engine::Engine> engine;  // of a local tier
};

// Loads or connects a tier; may take seconds. `progress`: 0 to 1, on any thread.
using TierMaker = std::function<base::Result<LoadedTier>(const TierConfig&, const TierContext&,
                                                         const std::function<void(double)>& progress)>;

base::Result<LoadedTier> make_tier(const TierConfig& tier, const TierContext& context,
                                   const std::function<void(double)>& progress);

// What can be known without loading: the model is there, the key can be read. Messages say what to do.
base::Status check_tier(const TierConfig& tier);

// Memory of one engine: what its weights take now, what its KV pool and its passes may come to take.
struct EngineMemory {
  size_t weights = 0;
  size_t kv = 0;
  size_t working = 0;
  [[nodiscard]] size_t all() const noexcept { return weights + kv + working; }
};
EngineMemory memory_of(const engine::Engine& engine);

}  // namespace concerto::app
