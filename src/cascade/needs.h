// Needs: what a request asks of a tier, and whether a tier has it. Any thread.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "cascade/backend.h"
#include "cascade/chat.h"

namespace concerto::cascade {

// Why a tier can't take a request.
struct Lack {
  std::string outcome;  // as Attempt's: "skipped:context", "error:invalid_argument" (its template refused), ...
  base::Error error;    // for the client, when no other tier can: names the tier, what it has and what is needed
  bool only_max_tokens = false;  // a smaller max_tokens would make it fit
};

struct Fit {
  std::optional<Lack> lack;
  int prompt_tokens = 0;  // 0: the tier can't count
};

// An answer of unset length needs room for at least this many tokens.
constexpr int kMinAnswerTokens = 64;

// Counts with the tier's own tokenizer and template: takes milliseconds for a long prompt. People can take anything.
Fit fit(const ChatRequest& request, const Backend& backend);

}  // namespace concerto::cascade
