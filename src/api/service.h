// Service: what the API serves. The one seam between HTTP and the product: app/ binds it to the cascade, the store and
// the engines; tests script it.
//
// All functions may be called from any thread, several at once. chat() must return quickly (it is called off the
// network thread); its events arrive later on any thread, one at a time for a request. The others may take
// milliseconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel_token.h"
#include "base/result.h"
#include "cascade/cascade.h"
#include "cascade/chat.h"
#include "engine/engine.h"

namespace concerto::api {

// One row of GET /v1/models: a tier, or the cascade over all of them.
struct ModelInfo {
  std::string id;        // "concerto", or the tier's name in concerto.toml
  std::string kind;      // "cascade", "local", "upstream", "people"
  std::string model_id;  // "sha256:..." of the weights, or the upstream's model; empty for cascade and people
  int context = 0;       // tokens, 0: not known
  int64_t created = 0;   // seconds since 1970
};

struct Readiness {
  bool ready = false;
  std::string reason;  // why not: "loading fast: 43%", "draining"
};

// A case of the desk, as GET /v1/cases/{id} shows it.
struct CaseInfo {
  std::string id;
  std::string state;     // "open", "answered"
  std::string label;     // 蒸馏版未覆盖case
  std::string reason;    // why no tier could answer
  std::string question;  // the last user message
  std::string answer;    // empty while open
  std::string answered_by;
  int64_t created_ms = 0;  // since 1970
  std::optional<int64_t> answered_ms;
};

struct CaseAnswer {
  std::string answer;
  std::string answered_by;
};

struct EngineSample {
  std::string tier;
  engine::EngineStats stats;
};

// A number of the product that has no request to hang on, for GET /metrics.
struct Gauge {
  std::string name;  // "concerto_cases_open"
  std::string help;
  double value = 0;
};

class Service {
 public:
  virtual ~Service() = default;

  // Starts a chat with the model (an id of models()); kNotFound through the sink when there is none of that id.
  // Events: at most one Decision, Deltas, then exactly one CascadeEnd or Error.
  // A choice after the first (ChatRequest::choice) names a tier, and may be asked for from within a sink.
  virtual void chat(cascade::ChatRequest request, std::string_view model, cascade::CascadeSink sink,
                    base::CancelToken cancel) = 0;
  [[nodiscard]] virtual std::vector<ModelInfo> models() const = 0;
  [[nodiscard]] virtual Readiness readiness() const = 0;
  [[nodiscard]] virtual base::Result<CaseInfo> find_case(std::string_view id) const = 0;
  // kNotFound, or kConflict when it was answered before.
  virtual base::Result<CaseInfo> answer_case(std::string_view id, const CaseAnswer& answer) = 0;
  [[nodiscard]] virtual std::vector<EngineSample> engines() const = 0;
  [[nodiscard]] virtual std::vector<Gauge> gauges() const { return {}; }
};

}  // namespace concerto::api
