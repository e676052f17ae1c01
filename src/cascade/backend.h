// Backend: the one seam between the cascade and whatever answers: a local engine, an upstream, the desk.
#pragma once

#include <functional>
#include <string>

#include "base/cancel_token.h"
#include "base/result.h"
#include "cascade/chat.h"

namespace concerto::cascade {

struct Capabilities {
  int context = 0;  // tokens, 0: unknown (upstream)
  bool images = false;
  bool tools = false;
  bool logprobs = false;
  bool person = false;  // answers come from people: no deadline of seconds
};

// Called from any thread, but never concurrently for one request; must not block.
using BackendSink = std::function<void(BackendEvent&&)>;

class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;  // the tier's name in concerto.toml
  [[nodiscard]] virtual Capabilities capabilities() const = 0;
  // Prompt tokens of the request with this tier's own template; kUnsupported when the backend can't know.
  [[nodiscard]] virtual base::Result<int> count_tokens(const ChatRequest& request) const = 0;
  // Starts answering. An error at once is delivered through the sink too, inside of the call. `cancel` belongs to this
  // call alone: a backend may set it itself, to stop what works for it. A sink that is let go of without an End or an
  // Error counts as a failure. Must not wait for the answer; may take milliseconds.
  virtual void start(const ChatRequest& request, const Handover& handover, BackendSink sink,
                     base::CancelToken cancel) = 0;
  // "sha256:..." of the weights, or the upstream's model id: for the decision record.
  [[nodiscard]] virtual std::string model_id() const = 0;
};

}  // namespace concerto::cascade
