// Product: everything that `serve` serves, put together: store, desk, engines, tiers, cascade, behind api::Service.
//
// create() checks and opens what is quick; load() starts a thread of the product's own that loads the models, so that
// the server answers /livez at once and /readyz tells how far it is. All functions from any thread.
//
// End: stop the server first (which cancels what runs), then destroy the product: it waits for the requests under way
// to end before it takes down what they use.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "api/service.h"
#include "app/config.h"
#include "app/tiers.h"
#include "base/clock.h"
#include "cascade/cascade.h"
#include "cascade/timers.h"
#include "desk/cases.h"
#include "store/store.h"

namespace concerto::app {

// The model name that asks all tiers in order.
inline constexpr std::string_view kCascadeModel = "concerto";

class Product final : public api::Service {
 public:
  static base::Result<std::unique_ptr<Product>> create(const Config& config, TierMaker maker = make_tier,
                                                       const base::Clock& clock = base::system_clock());
  ~Product() override;
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  void chat(cascade::ChatRequest request, std::string_view model, cascade::CascadeSink sink,
            base::CancelToken cancel) override;
  [[nodiscard]] std::vector<api::ModelInfo> models() const override;
  [[nodiscard]] api::Readiness readiness() const override;
  [[nodiscard]] base::Result<api::CaseInfo> find_case(std::string_view id) const override;
  base::Result<api::CaseInfo> answer_case(std::string_view id, const api::CaseAnswer& answer) override;
  [[nodiscard]] std::vector<api::EngineSample> engines() const override;
  [[nodiscard]] std::vector<api::Gauge> gauges() const override;

  // Once.
  void load();
  // The outcome of loading; nullopt while it goes on for longer than `timeout_ms`.
  std::optional<base::Status> wait_loaded(int timeout_ms);
  // From now on /readyz says "draining".
  void drain();
  // Weights and KV pools of all engines.
  [[nodiscard]] EngineMemory memory() const;

 private:
  // Requests under way, counted by the sinks they hold; outlives the product by an event if need be.
  struct InFlight {
    std::mutex mutex;
    std::condition_variable none;
    int count = 0;  // guarded by mutex
  };

  Product(const Config& config, TierMaker maker, const base::Clock& clock);
  base::Status open();
  void run_loader();
  base::Status load_tiers();
  [[nodiscard]] std::string model_names() const;

  const Config config_;
  const TierMaker maker_;
  const base::Clock& clock_;
  const int64_t created_;  // seconds since 1970
  const std::shared_ptr<InFlight> in_flight_;

  // Order of construction; the destructor takes them down the other way round.
  std::unique_ptr<store::Store> store_;
  std::optional<desk::Cases> cases_;
  std::unique_ptr<cascade::Timers> timers_;
  std::unique_ptr<net::HttpClient> client_;

  std::atomic<bool> draining_{false};
  std::atomic<bool> stop_loading_{false};
  mutable std::mutex mutex_;
  std::condition_variable loaded_changed_;
  std::string loading_;                        // guarded by mutex_: the tier being loaded
  double progress_ = 0;                        // guarded by mutex_
  std::optional<base::Status> loaded_;         // guarded by mutex_
  std::vector<LoadedTier> tiers_;              // guarded by mutex_ until loaded_, then constant
  std::unique_ptr<cascade::Cascade> cascade_;  // the same
  std::thread loader_;
};

}  // namespace concerto::app
