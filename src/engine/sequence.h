// Sequence: one request from submit to its last event, as the scheduler sees it. Belongs to the engine's thread.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>
#include <vector>

#include "base/cancel_token.h"
#include "engine/lookup_drafter.h"
#include "engine/model_draft.h"
#include "engine/request.h"

namespace concerto::engine {

// A request that was accepted and waits for its turn.
struct Job {
  Request request;
  Sink sink;
  base::CancelToken cancel;
  int64_t submitted_ns = 0;
};

// Guesses of a sequence's next tokens (speculator.h).
struct DraftState {
  LookupDrafter lookup;
  ModelDraft model;
  std::vector<int32_t> guess;      // what was chosen of the two
  std::vector<double> chances;     // of each guess to be right when those before it are
  int verify = 0;                  // of `guess`: at the end of `tokens` while a pass is under way
  std::atomic<int> miss{INT_MAX};  // first position behind which a guess is known to be wrong; workers lower it
};

struct Sequence {
  Job job;
  std::vector<int32_t> tokens;  // prompt + output, and during a pass the guesses it verifies
  int prompt_tokens = 0;
  int max_tokens = 0;           // resolved: prompt_tokens + max_tokens <= context
  int computed = 0;             // positions whose K and V are in the blocks
  int cached_tokens = 0;        // of those, taken from the prefix cache
  std::vector<int32_t> blocks;  // pool block of positions [64j, 64j+64)
  int indexed_blocks = 0;       // the first of `blocks` that the cache can find: all the full ones
  int reserved_blocks = 0;      // blocks promised to it and not yet taken; the pool keeps as many available
  std::vector<float> prompt_logprobs;
  DraftState draft;
  int drafted_tokens = 0;
  int accepted_tokens = 0;
  bool prompt_reported = false;
  bool ended = false;  // its last event was sent
  int64_t admitted_ns = 0;
  int64_t prompt_done_ns = 0;

  // Tokens without the guesses.
  [[nodiscard]] int certain() const noexcept { return static_cast<int>(tokens.size()) - draft.verify; }
  [[nodiscard]] int output_tokens() const noexcept { return certain() - prompt_tokens; }
  // Prompt tokens are still to be scored.
  [[nodiscard]] bool scores() const noexcept { return job.request.prompt_logprobs && !prompt_reported; }
  [[nodiscard]] int pending() const noexcept { return certain() - computed; }
  // Its next pass computes the token it drew last, and only that. (One that was set aside computes its answer again.)
  [[nodiscard]] bool decoding() const noexcept { return output_tokens() > 0 && pending() == 1; }
};

}  // namespace concerto::engine
