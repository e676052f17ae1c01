#include "app/product.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "app/memory_plan.h"
#include "app/paths.h"
#include "app/terminal.h"
#include "base/log.h"
#include "engine/memory_budget.h"

namespace concerto::app {
namespace {

using base::Code;
using base::fail;

// Requests end within about a forward pass of being cancelled; one that takes longer than this is stuck.
constexpr int kEndMs = 10'000;

api::CaseInfo to_info(const store::CaseRecord& record) {
  api::CaseInfo info;
  info.id = record.id;
  info.state = std::string(store::state_name(record.state));
  info.label = record.label;
  info.reason = record.reason;
  info.question = record.question;
  info.answer = record.answer;
  info.answered_by = record.answered_by;
  info.created_ms = record.created_ms;
  info.answered_ms = record.answered_ms;
  return info;
}

// The store's errors name files of this machine: for the log, not for clients.
base::Error for_client(base::Error error) {
  if (error.code == Code::kNotFound || error.code == Code::kConflict) return error;
  base::log(base::LogLevel::kError, "store: {}", error.message);
  return {error.code, "the store of cases can't be used at the moment", {}};
}

// Bytes of this process in memory; 0 when the system does not say.
double resident_bytes() {
  std::ifstream in("/proc/self/statm");
  double total = 0;
  double resident = 0;
  if (!(in >> total >> resident)) return 0;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Product::Product(const Config& config, TierMaker maker, const base::Clock& clock)
    : config_(config),
      maker_(std::move(maker)),
      clock_(clock),
      created_(clock.wall_ms() / 1000),
      in_flight_(std::make_shared<InFlight>()) {}

base::Result<std::unique_ptr<Product>> Product::create(const Config& config, TierMaker maker,
                                                       const base::Clock& clock) {
  std::unique_ptr<Product> product(new Product(config, std::move(maker), clock));
  TRY_STATUS(product->open());
  return product;
}

base::Status Product::open() {
  TRY(store_, store::open_sqlite({config_.store_path}));
  cases_.emplace(store_.get(), clock_);
  timers_ = cascade::make_timers();
  TRY(client_, net::HttpClient::open());
  return {};
}

Product::~Product() {
  stop_loading_ = true;
  if (loader_.joinable()) loader_.join();
  {
    std::unique_lock lock(in_flight_->mutex);
    const auto ended = [this] { return in_flight_->count == 0; };
    if (!in_flight_->none.wait_for(lock, std::chrono::milliseconds(kEndMs), ended)) {
      base::log(base::LogLevel::kWarn, "{} requests did not end within {} ms", in_flight_->count, kEndMs);
    }
  }
  cascade_.reset();  // starts nothing new
  // A request that has just told its client may still be on its way out of a tier's thread. The last to let go of an
  // engine must not be that thread: it would have to wait for itself.
  for (const LoadedTier& tier : tiers_) {
    for (int waited = 0; tier.backend.use_count() > 1 && waited < kEndMs; ++waited) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  tiers_.clear();
  client_.reset();
  timers_.reset();
}

void Product::load() {
  loader_ = std::thread([this] { run_loader(); });
}

void Product::run_loader() {
  base::Status status = load_tiers();
  const std::lock_guard lock(mutex_);
  loading_.clear();
  loaded_ = std::move(status);
  loaded_changed_.notify_all();
}

base::Status Product::load_tiers() {
  TierContext context{&*cases_, client_.get(), &clock_, 0};
  TRY(MemoryPlan plan, MemoryPlan::make(config_, engine::available_memory()));
  std::vector<cascade::Tier> row;
  for (const TierConfig& tier : config_.tiers) {
    if (stop_loading_) return fail(Code::kCancelled, "loading was stopped");
    {
      const std::lock_guard lock(mutex_);
      loading_ = tier.name;
      progress_ = 0;
    }
    context.memory_bytes = tier.kind == TierKind::kLocal ? plan.next() : 0;
    auto made = maker_(tier, context, [this](double fraction) {
      const std::lock_guard lock(mutex_);
      progress_ = fraction;
    });
    if (!made) {
      base::Error error = std::move(made).error();
      error.message = fmt::format("tier {}: {}", tier.name, error.message);
      return tl::make_unexpected(std::move(error));
    }
    if (made->engine) {
      const EngineMemory memory = memory_of(*made->engine);
      const engine::EngineStats stats = made->engine->stats();
      plan.took(memory.all());
      base::log(base::LogLevel::kInfo,
                "loaded tier={} model=\"{}\" ms={:.0f} weights=\"{}\" kv=\"up to {}\" context={}", tier.name,
                made->engine->config().name, stats.load_ms, format_bytes(static_cast<double>(memory.weights)),
                format_bytes(static_cast<double>(memory.kv)), made->engine->context());
    }
    row.push_back({made->backend, tier.timeout_ms, tier.first_event_ms});
    const std::lock_guard lock(mutex_);
    tiers_.push_back(std::move(*made));
  }
  cascade::CascadeOptions options;
  options.threshold = config_.cascade.threshold;
  options.window_tokens = config_.cascade.window_tokens;
  options.keywords = config_.cascade.keywords;
  options.keyword_exceptions = config_.cascade.keyword_exceptions;
  TRY(auto cascade, cascade::Cascade::create(std::move(options), std::move(row), *timers_, clock_));
  const std::lock_guard lock(mutex_);
  cascade_ = std::move(cascade);
  return {};
}

std::string Product::model_names() const {
  std::string names(kCascadeModel);
  for (const TierConfig& tier : config_.tiers) names += ", " + tier.name;
  return names;
}

void Product::chat(cascade::ChatRequest request, std::string_view model, cascade::CascadeSink sink,
                   base::CancelToken cancel) {
  const bool whole = model == kCascadeModel;
  bool known = whole;
  for (const TierConfig& tier : config_.tiers) known = known || tier.name == model;
  if (!known) {
    sink(base::Error{Code::kNotFound, fmt::format("model: expected one of {}, found '{}'", model_names(), model),
                     "model"});
    return;
  }
  if (const api::Readiness state = readiness(); !state.ready && !draining_) {
    sink(base::Error{Code::kUnavailable, state.reason + "; ask again in a moment", {}});
    return;
  }
  // Dropped with the last copy of the sink, which a request holds as long as it uses anything of ours.
  const std::shared_ptr<void> under_way(nullptr, [counter = in_flight_](void*) {
    const std::lock_guard lock(counter->mutex);
    if (--counter->count == 0) counter->none.notify_all();
  });
  {
    const std::lock_guard lock(in_flight_->mutex);
    ++in_flight_->count;
  }
  cascade::CascadeSink counted = [under_way, inner = std::move(sink)](cascade::CascadeEvent&& event) {
    inner(std::move(event));
  };
  if (request.choice > 0) {
    // Asked for from within a sink, likely on an engine's thread, which must not render and tokenise prompts.
    auto start = [this, tier = std::string(model), request = std::move(request), sink = std::move(counted),
                  cancel = std::move(cancel)]() mutable {
      cascade_->start_tier(tier, std::move(request), std::move(sink), std::move(cancel));
    };
    timers_->after(0, std::move(start));
    return;
  }
  if (whole) {
    cascade_->start(std::move(request), std::move(counted), std::move(cancel));
  } else {
    cascade_->start_tier(model, std::move(request), std::move(counted), std::move(cancel));
  }
}

std::vector<api::ModelInfo> Product::models() const {
  const std::lock_guard lock(mutex_);
  std::vector<api::ModelInfo> all = {{std::string(kCascadeModel), "cascade", "", 0, created_}};
  for (size_t i = 0; i < config_.tiers.size(); ++i) {
    const TierConfig& tier = config_.tiers[i];
    api::ModelInfo info{tier.name, std::string(kind_name(tier.kind)), "", 0, created_};
    if (i < tiers_.size()) {
      info.model_id = tiers_[i].backend->model_id();
      info.context = tiers_[i].backend->capabilities().context;
    }
    // The cascade holds what its roomiest tier holds.
    all.front().context = std::max(all.front().context, info.context);
    all.push_back(std::move(info));
  }
  return all;
}

api::Readiness Product::readiness() const {
  if (draining_) return {false, "draining"};
  const std::lock_guard lock(mutex_);
  if (!loaded_) {
    return {false, loading_.empty() ? "starting" : fmt::format("loading {}: {:.0f}%", loading_, progress_ * 100)};
  }
  if (!*loaded_) return {false, "loading failed: see the server's log"};
  return {true, ""};
}

base::Result<api::CaseInfo> Product::find_case(std::string_view id) const {
  auto found = cases_->find(id);
  if (!found) return tl::make_unexpected(for_client(std::move(found).error()));
  return to_info(*found);
}

base::Result<api::CaseInfo> Product::answer_case(std::string_view id, const api::CaseAnswer& answer) {
  auto answered = cases_->answer(id, answer.answer, answer.answered_by);
  if (!answered) return tl::make_unexpected(for_client(std::move(answered).error()));
  base::log(base::LogLevel::kInfo, "case answered id={} by=\"{}\"", answered->id, answered->answered_by);
  return to_info(*answered);
}

std::vector<api::EngineSample> Product::engines() const {
  const std::lock_guard lock(mutex_);
  std::vector<api::EngineSample> all;
  for (size_t i = 0; i < tiers_.size(); ++i) {
    if (tiers_[i].engine) all.push_back({config_.tiers[i].name, tiers_[i].engine->stats()});
  }
  return all;
}

std::vector<api::Gauge> Product::gauges() const {
  std::vector<api::Gauge> all = {
      {"process_resident_memory_bytes", "Resident memory of the process.", resident_bytes()}};
  if (const auto open = cases_->count_open()) {
    all.push_back({"concerto_cases_open", "Cases that wait for a person.", static_cast<double>(*open)});
  }
  return all;
}

std::optional<base::Status> Product::wait_loaded(int timeout_ms) {
  std::unique_lock lock(mutex_);
  loaded_changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return loaded_.has_value(); });
  return loaded_;
}

void Product::drain() { draining_ = true; }

EngineMemory Product::memory() const {
  const std::lock_guard lock(mutex_);
  EngineMemory sum;
  for (const LoadedTier& tier : tiers_) {
    if (!tier.engine) continue;
    const EngineMemory one = memory_of(*tier.engine);
    sum.weights += one.weights;
    sum.kv += one.kv;
    sum.working += one.working;
  }
  return sum;
}

}  // namespace concerto::app
