// Sequence: one request from submit to its last event, as the scheduler sees it. Belongs to the engine's thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/cancel_token.h"
#include "engine/request.h"

namespace concerto::engine {

// A request that was accepted and waits for its turn.
struct Job {
  Request request;
  Sink sink;
  base::CancelToken cancel;
  int64_t submitted_ns = 0;
};

struct Sequence {
  Job job;
  std::vector<int32_t> tokens;  // prompt + output
  int prompt_tokens = 0;
  int max_tokens = 0;           // resolved: prompt_tokens + max_tokens <= context
  int computed = 0;             // positions whose K and V are in the blocks
  int cached_tokens = 0;        // of those, taken from the prefix cache
  std::vector<int32_t> blocks;  // pool block of positions [64j, 64j+64)
  int indexed_blocks = 0;       // the first of `blocks` that the cache can find: all the full ones
  int reserved_blocks = 0;      // blocks promised to it and not yet taken; the pool keeps as many available
  std::vector<float> prompt_logprobs;
  bool prompt_reported = false;
  bool ended = false;  // its last event was sent
  int64_t admitted_ns = 0;
  int64_t prompt_done_ns = 0;

  [[nodiscard]] int output_tokens() const noexcept { return static_cast<int>(tokens.size()) - prompt_tokens; }
  // Prompt tokens are still to be scored.
  [[nodiscard]] bool scores() const noexcept { return job.request.prompt_logprobs && !prompt_reported; }
  [[nodiscard]] int pending() const noexcept { return static_cast<int>(tokens.size()) - computed; }
  // Its next pass computes the token it drew last, and only that. (One that was set aside computes its answer again.)
  [[nodiscard]] bool decoding() const noexcept { return output_tokens() > 0 && pending() == 1; }
};

}  // namespace concerto::engine
