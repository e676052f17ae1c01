// bench_lookup(): what guessing from earlier text gains on work that repeats it, and that it changes nothing.
#pragma once

#include "engine/engine.h"

namespace concerto::app {

struct LookupBench {
  int max_tokens = 320;
  int pairs = 3;  // runs of each kind, in turn
  bool json = false;
};

// Three fixed prompts, greedily answered: code to be edited, facts to be extracted from a text, and a chat that repeats
// nothing. Each with and without guesses in turn, by the same engine, with an empty prefix cache. Returns an ExitCode:
// kFailure when a run fails or when an answer's tokens, log-probabilities or signals differ by a bit.
int bench_lookup(engine::Engine& engine, const LookupBench& options);

}  // namespace concerto::app
