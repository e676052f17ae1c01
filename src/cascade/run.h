// Run: one request on its way through the tiers. Internal to cascade/.
//
// Everything that happens (an event of a tier, a timer, the client leaving) is posted to the run's queue and handled
// one after the other on whatever thread finds the queue idle, without a lock held: a backend may call its sink inside
// start(), and the client's sink may do what it likes.
//
// Life: a tier's sink holds the run; timers hold it weakly. A tier that drops its sink without an end has failed.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cascade/cascade.h"
#include "cascade/keywords.h"
#include "cascade/needs.h"

namespace concerto::cascade {

// What all requests of a cascade share. Immutable but for `closing`.
struct Core {
  CascadeOptions options;
  std::vector<Tier> tiers;
  KeywordMatcher keywords;
  Timers& timers;
  const base::Clock& clock;
  std::atomic<bool> closing{false};  // the cascade is gone: start nothing new
};

class Run : public std::enable_shared_from_this<Run> {
 public:
  // forced: index of the only tier to ask, -1: all in order.
  Run(std::shared_ptr<Core> core, ChatRequest request, CascadeSink sink, base::CancelToken cancel, int forced);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void begin();

 private:
  struct Begin {};
  struct Next {};         // the tier before was given up: go on
  struct CheckCancel {};  // has the client left?
  struct FromTier {
    int generation;
    BackendEvent event;
  };
  struct TimedOut {
    int generation;
    bool first_event;  // the deadline of its first event; else of its end
  };
  struct Dropped {  // the tier let go of its sink
    int generation;
  };
  using Item = std::variant<Begin, Next, CheckCancel, FromTier, TimedOut, Dropped>;
  struct SinkGuard;

  void post(Item item);

  // All below run one at a time.
  void handle(Begin item);
  void handle(Next item);
  void handle(CheckCancel item);
  void handle(FromTier item);
  void handle(TimedOut item);
  void handle(Dropped item);
  void take(CaseOpened&& event);
  void take(Delta&& event);
  void take(End&& event);
  void take(base::Error&& error);

  void work_out_needs();
  void next_tier();
  void start_tier(size_t index);
  void record_skip(size_t index, std::string outcome, std::string reason);
  [[nodiscard]] bool has_tier_behind(size_t index) const;
  void collect_signals(const Delta& delta);
  void judge(bool ended);  // commits or gives up
  void commit(std::optional<double> confidence);
  void give_up(std::string outcome, std::optional<double> confidence, std::optional<base::Error> error);
  [[nodiscard]] Attempt close_attempt(std::string outcome, std::optional<double> confidence, const Usage& usage) const;
  void add_usage(const Usage& usage);
  void fail_without_tier();
  void finish(base::Error error);
  void finish(CascadeEnd end);
  void log_end(std::string_view outcome) const;
  void emit(CascadeEvent&& event);
  void ask_timer(int64_t ms, Item item);

  const std::shared_ptr<Core> core_;
  const ChatRequest request_;
  CascadeSink sink_;
  const base::CancelToken client_;
  const int forced_;
  const int64_t start_ns_;

  std::mutex mutex_;
  std::deque<Item> queue_;  // guarded by mutex_
  bool draining_ = false;   // guarded by mutex_

  std::vector<Fit> fits_;  // of each tier
  std::string keyword_;    // that fired
  Decision decision_;
  std::vector<Draft> drafts_;
  std::vector<std::pair<std::string, base::Error>> errors_;  // of tiers, in order: what to say if none answers
  Usage total_;
  size_t next_ = 0;
  bool started_any_ = false;  // a tier of machines was asked
  bool over_ = false;

  // The tier that is being asked.
  size_t current_ = 0;
  int generation_ = 0;
  bool active_ = false;
  bool must_convince_ = false;  // its confidence decides
  bool committed_ = false;
  bool first_seen_ = false;
  int64_t attempt_ns_ = 0;
  base::CancelToken attempt_cancel_;
  std::vector<Delta> held_;         // before the commit
  std::vector<TokenInfo> signals_;  // numbers only, of the first window
  int window_seen_ = 0;
  int tokens_seen_ = 0;
  std::optional<Usage> reported_;  // by its End
};

}  // namespace concerto::cascade
