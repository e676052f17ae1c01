#include "app/tiers.h"

#include <fmt/format.h>

#include <filesystem>

#include "app/model_path.h"
#include "app/paths.h"
#include "cascade/local_backend.h"
#include "cascade/upstream_backend.h"
#include "desk/people_backend.h"
#include "kernels/kernels.h"

namespace concerto::app {
namespace {

using base::Code;
using base::fail;

base::Result<LoadedTier> make_local(const TierConfig& tier, const TierContext& context,
                                    const std::function<void(double)>& progress) {
  engine::EngineOptions options;
  options.model_path = tier.model;
  options.threads = tier.threads;
  options.context = tier.context;
  options.memory_bytes = context.memory_bytes;
  options.kv_bytes = static_cast<size_t>(tier.kv_mb) << 20;
  options.itl_target_ms = tier.itl_target_ms;
  options.max_running = tier.max_running;
  options.max_waiting = tier.max_waiting;
  options.quantize = tier.quantize;
  options.speculation = tier.speculation;
  options.draft_path = tier.draft;
  options.progress = progress;
  LoadedTier loaded;
  TRY(loaded.engine, engine::Engine::open(options));
  TRY(loaded.backend, cascade::make_local_backend(tier.name, loaded.engine, *context.clock));
  return loaded;
}

base::Result<LoadedTier> make_upstream(const TierConfig& tier, const TierContext& context) {
  cascade::UpstreamOptions options;
  options.name = tier.name;
  options.base_url = tier.base_url;
  options.model = tier.model;
  options.logprobs = tier.logprobs;
  options.context = tier.context;
  TRY(options.api_key, cascade::read_api_key(tier.api_key_env, tier.api_key_file));
  LoadedTier loaded;
  TRY(loaded.backend, cascade::make_upstream_backend(std::move(options), *context.client));
  return loaded;
}

}  // namespace

base::Result<LoadedTier> make_tier(const TierConfig& tier, const TierContext& context,
                                   const std::function<void(double)>& progress) {
  switch (tier.kind) {
    case TierKind::kLocal:
      return make_local(tier, context, progress);
    case TierKind::kUpstream:
      return make_upstream(tier, context);
    case TierKind::kPeople:
      break;
  }
  return LoadedTier{std::make_shared<desk::PeopleBackend>(tier.name, context.cases), nullptr};
}

base::Status check_tier(const TierConfig& tier) {
  if (tier.kind == TierKind::kUpstream) {
    const auto key = cascade::read_api_key(tier.api_key_env, tier.api_key_file);
    if (key) return {};
    return fail(key.error().code, fmt::format("tier {}: {}", tier.name, key.error().message));
  }
  std::error_code error;
  if (tier.kind != TierKind::kLocal || std::filesystem::exists(tier.model, error)) return {};
  return fail(Code::kNotFound, fmt::format("{}: expected a .gguf file or a Hugging Face folder, found nothing; {}, or "
                                           "name another one in tier '{}' of the configuration",
                                           shorten_path(tier.model), how_to_get(tier.model), tier.name));
}

EngineMemory memory_of(const engine::Engine& engine) {
  const auto& shape = engine.config();
  const kernels::KvLayout layout{shape.n_layers, shape.n_kv_heads, shape.head_dim};
  const engine::EngineStats stats = engine.stats();
  return {stats.weight_bytes, static_cast<size_t>(stats.kv_blocks_total) * layout.block_bytes(), stats.working_bytes};
}

}  // namespace concerto::app
