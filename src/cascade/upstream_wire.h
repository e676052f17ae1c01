// The OpenAI chat protocol as a client speaks it: requests to JSON, chunks and errors back. Pure functions, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cascade/chat.h"

namespace concerto::cascade {

// The body of POST /chat/completions.
std::string upstream_body(const ChatRequest& request, std::string_view model, bool logprobs);

// What one chunk of the stream, or a whole answer, says.
struct UpstreamChunk {
  Delta delta;
  std::optional<FinishReason> finish;
  std::optional<Usage> usage;
  std::optional<std::string> error;  // its own words
};

// Reads a chunk ("delta") or a whole completion ("message"). kUpstream: it is not JSON, too deep, or not of that shape.
base::Result<UpstreamChunk> read_upstream_chunk(std::string_view json);

// The message of an error body in any of the usual shapes; empty when there is none. At most 300 bytes, one line.
std::string upstream_error_text(std::string_view body);

}  // namespace concerto::cascade
