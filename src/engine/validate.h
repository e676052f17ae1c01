// Checks a request against the engine that shall run it, so that nothing behind submit() has to doubt it.
#pragma once

#include "base/result.h"
#include "engine/request.h"

namespace concerto::engine {

struct RequestLimits {
  int vocab = 0;
  int context = 0;         // tokens, prompt + output: never more than the KV pool holds
  bool by_memory = false;  // it is what the KV pool holds, less than was asked for
};

// Resolves request->max_tokens to a number that the context holds. Errors (param names the field):
// kInvalidArgument: an id, a count or a sampling parameter out of its range; kContextLength: the prompt leaves no room
// for one token.
base::Status validate(const RequestLimits& limits, Request* request);

}  // namespace concerto::engine
