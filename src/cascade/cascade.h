// Cascade: takes a request through the tiers until one answers, and says which and why.
//
// Event-driven and without threads of its own: it runs on whatever thread an event or a timer arrives, serialised per
// request, so that a test can drive it with a fake clock from one thread. Nothing is sent to the client before the
// commit point; nothing is retracted after it. Streaming or not, the same request takes the same route.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/cancel_token.h"
#include "cascade/backend.h"
#include "cascade/chat.h"

namespace concerto::cascade {

// One tier that was tried (or skipped) for a request, in order.
struct Attempt {
  std::string tier;
  std::string outcome;               // "answered", "low_confidence", "skipped:keyword", "error:timeout", ...
  std::optional<double> confidence;
  Usage usage;
  double ms = 0;
};

// Who answers and why: sent once, before the first Delta; final fields are completed in CascadeEnd.
struct Decision {
  std::string tier;
  std::string reason;                // "confident", "only_tier", "keyword:合同", "low_confidence", "upstream_error", ...
  std::optional<double> confidence;  // of the tier that answers, when it has one
  bool calibrated = false;
  std::string case_id;               // set when people must answer
  std::string model_id;
  std::vector<Attempt> attempts;
};

struct CascadeEnd {
  End end;
  Decision decision;                 // complete
  Usage total;                       // over all tiers tried
};

using CascadeEvent = std::variant<Decision, Delta, CascadeEnd, base::Error>;
using CascadeSink = std::function<void(CascadeEvent&&)>;

}  // namespace concerto::cascade
