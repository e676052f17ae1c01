// LocalBackend: a tier that is a model in this process.
//
// The same request gives the same bits (the engine's contract), hence takes the same route. Fields that a request
// leaves unset take the model's own defaults (Engine::default_sampling): a request without a seed has that fixed seed
// too, and who wants another answer to the same question says another seed.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cascade/backend.h"
#include "engine/engine.h"

namespace concerto::cascade {

// kUnsupported when the model has no chat template. `clock` must outlive the backend; the engine is shared.
base::Result<std::shared_ptr<Backend>> make_local_backend(std::string name, std::shared_ptr<engine::Engine> engine,
                                                          const base::Clock& clock);

// The request's sampling over the model's defaults; the seed as described above.
engine::SamplingParams merge_sampling(const ChatRequest& request, engine::SamplingParams defaults);

}  // namespace concerto::cascade
