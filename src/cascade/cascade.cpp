#include "cascade/cascade.h"

#include <fmt/format.h>

#include <set>

#include "cascade/run.h"

namespace concerto::cascade {
namespace {

using base::Code;

class TierCascade final : public Cascade {
 public:
  explicit TierCascade(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~TierCascade() override { core_->closing = true; }
  TierCascade(const TierCascade&) = delete;
  TierCascade& operator=(const TierCascade&) = delete;

  void start(ChatRequest request, CascadeSink sink, base::CancelToken cancel) override {
    std::make_shared<Run>(core_, std::move(request), std::move(sink), std::move(cancel), -1)->begin();
  }

  void start_tier(std::string_view tier, ChatRequest request, CascadeSink sink, base::CancelToken cancel) override {
    std::string names;
    for (size_t i = 0; i < core_->tiers.size(); ++i) {
      const std::string& name = core_->tiers[i].backend->name();
      if (name == tier) {
        std::make_shared<Run>(core_, std::move(request), std::move(sink), std::move(cancel), static_cast<int>(i))
            ->begin();
        return;
      }
      names += (names.empty() ? "" : ", ") + name;
    }
    sink(base::Error{Code::kNotFound, fmt::format("model: expected one of {}, found '{}'", names, tier), "model"});
  }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace

base::Result<std::unique_ptr<Cascade>> Cascade::create(CascadeOptions options, std::vector<Tier> tiers, Timers& timers,
                                                       const base::Clock& clock) {
  if (tiers.empty()) return base::fail(Code::kInvalidArgument, "tiers: expected at least one, found none", "tiers");
  std::set<std::string> names;
  for (const Tier& tier : tiers) {
    if (!tier.backend) return base::fail(Code::kInvalidArgument, "tiers: expected a backend in each", "tiers");
    if (!names.insert(tier.backend->name()).second) {
      return base::fail(Code::kInvalidArgument,
                        fmt::format("tiers: expected a name once, found two tiers '{}'", tier.backend->name()),
                        "tiers");
    }
    if (tier.timeout_ms < 0 || tier.first_event_ms < 0) {
      return base::fail(Code::kInvalidArgument,
                        fmt::format("tier {}: expected timeouts of 0 ms or more", tier.backend->name()), "tiers");
    }
  }
  if (!(options.threshold >= 0 && options.threshold <= 1)) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("threshold: expected a number from 0 to 1, found {}", options.threshold),
                      "threshold");
  }
  if (options.window_tokens < 0) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("window_tokens: expected 0 or more, found {}", options.window_tokens),
                      "window_tokens");
  }
  TRY(KeywordMatcher keywords, KeywordMatcher::create(options.keywords, options.keyword_exceptions));
  std::shared_ptr<Core> core(
      new Core{std::move(options), std::move(tiers), std::move(keywords), timers, clock, {false}});
  return std::unique_ptr<Cascade>(std::make_unique<TierCascade>(std::move(core)));
}

}  // namespace concerto::cascade
