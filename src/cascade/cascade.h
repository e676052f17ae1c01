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
#include "base/clock.h"
#include "cascade/backend.h"
#include "cascade/chat.h"
#include "cascade/timers.h"

namespace concerto::cascade {

// One tier that was tried (or skipped) for a request, in order.
struct Attempt {
  std::string tier;
  // "answered"; "low_confidence"; "empty": it ended without a word; "refused": by its content filter;
  // "skipped:keyword", "skipped:context", "skipped:images", "skipped:tools"; "error:" and the name of a base::Code.
  std::string outcome;
  std::optional<double> confidence;
  Usage usage;
  double ms = 0;
};

// Who answers and why: sent once, before the first Delta; final fields are completed in CascadeEnd.
struct Decision {
  std::string tier;
  // Why this tier: the first that could take it was "confident", "unscored" (it tells no probabilities) or the
  // "only_tier"; or why it went past the tier before: "keyword:合同", "needs:context", "low_confidence", "empty",
  // "refused", "error:timeout", ...; or the client "requested" that tier.
  std::string reason;
  std::optional<double> confidence;  // of the tier that answers, when it has one
  bool calibrated = false;
  std::string case_id;  // set when people must answer
  std::string model_id;
  std::vector<Attempt> attempts;
};

struct CascadeEnd {
  End end;
  Decision decision;  // complete
  Usage total;        // over all tiers tried
};

using CascadeEvent = std::variant<Decision, Delta, CascadeEnd, base::Error>;
using CascadeSink = std::function<void(CascadeEvent&&)>;

struct Tier {
  std::shared_ptr<Backend> backend;
  int timeout_ms = 0;      // to the end of its answer; 0: none
  int first_event_ms = 0;  // to its first event; 0: none
};

struct CascadeOptions {
  double threshold = 0.85;  // a tier that has one behind it answers only with at least this confidence
  int window_tokens = 48;   // tokens seen before the commit; 0: the whole answer
  std::vector<std::string> keywords = {"合同", "法律", "赔偿"};
  std::vector<std::string> keyword_exceptions;  // besides the built-in ones: "集合同步"
};

// Thread-safe. The timers and the clock must outlive the cascade and its backends. To close down: destroy the cascade
// (requests under way end, none goes on to a next tier), then the backends, then the timers.
class Cascade {
 public:
  // kInvalidArgument: no tier, two of one name, a threshold outside [0, 1], an empty keyword.
  static base::Result<std::unique_ptr<Cascade>> create(CascadeOptions options, std::vector<Tier> tiers, Timers& timers,
                                                       const base::Clock& clock);
  virtual ~Cascade() = default;

  // All tiers in order.
  virtual void start(ChatRequest request, CascadeSink sink, base::CancelToken cancel) = 0;
  // That tier alone, whatever its confidence (which is reported all the same); kNotFound through the sink.
  virtual void start_tier(std::string_view tier, ChatRequest request, CascadeSink sink, base::CancelToken cancel) = 0;
};

}  // namespace concerto::cascade
