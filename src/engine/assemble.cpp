// The engine's thread: takes what submit() accepted, steps the scheduler, hands counters back.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "engine/memory_budget.h"
#include "engine/scheduler.h"
#include "engine/validate.h"

namespace concerto::engine {
namespace {

using base::Code;

constexpr int kDefaultContext = 8192;
constexpr int kDraftedRequests = 2;  // of the whole context: the draft model's memory; shorter ones are more

struct LoopOptions {
  bool context_by_memory = false;
  size_t working_bytes = 0;
  int max_waiting = 0;
};

std::unique_ptr<DraftModel> make_draft(const EngineParts& parts, KvPool* kv) {
  if (parts.draft == nullptr) return nullptr;
  DraftModelParts own;
  own.model = parts.draft.get();
  own.pool = parts.pool.get();
  own.kv = kv;
  own.log_sum_exp = parts.table->log_sum_exp;
  own.clock = &base::system_clock();
  own.target_vocab = parts.model->config().n_vocab;
  // A pass of few tokens takes about as long as reading the weights does.
  const size_t target = parts.model->weight_bytes();
  if (target > 0) own.relative_cost = static_cast<double>(parts.draft->weight_bytes()) / static_cast<double>(target);
  return std::make_unique<DraftModel>(own);
}

// What the engine's thread works on. It belongs to that thread as much as to the Engine, see EngineImpl.
class Loop {
 public:
  // draft_kv: null exactly when there is no draft model.
  Loop(EngineParts parts, std::unique_ptr<KvPool> kv, std::unique_ptr<KvPool> draft_kv, const SchedulerOptions& options,
       const LoopOptions& own)
      : parts_(std::move(parts)),
        kv_(std::move(kv)),
        draft_kv_(std::move(draft_kv)),
        draft_(make_draft(parts_, draft_kv_.get())),
        limits_{parts_.model->config().n_vocab, options.context, own.context_by_memory},
        options_(own),
        scheduler_({parts_.model.get(), parts_.tokenizer.get(), parts_.pool.get(), kv_.get(), parts_.table->log_sum_exp,
                    &base::system_clock(), draft_.get()},
                   options) {
    counters_ = scheduler_.counters();
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
  }

  base::Status submit(Request request, Sink sink, base::CancelToken cancel) {
    CHECK(sink != nullptr);
    TRY_STATUS(validate(limits_, &request));
    Job job{std::move(request), std::move(sink), std::move(cancel), base::system_clock().now_ns()};
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return base::fail(Code::kUnavailable, "engine: shutting down");
      if (std::ssize(waiting_) >= options_.max_waiting) {
        return base::fail(Code::kBusy, fmt::format("engine: {} requests are waiting already, the limit is {}",
                                                   waiting_.size(), options_.max_waiting));
      }
      waiting_.push_back(std::move(job));
    }
    wake_.notify_one();
    return {};
  }

  [[nodiscard]] const EngineParts& parts() const { return parts_; }
  [[nodiscard]] int context() const { return limits_.context; }

  [[nodiscard]] EngineStats stats() const {
    EngineStats stats;
    const std::lock_guard lock(mutex_);
    stats.running = counters_.running;
    stats.waiting = static_cast<int>(waiting_.size()) + counters_.set_aside;
    stats.kv_blocks_total = kv_->blocks();
    stats.kv_blocks_free = counters_.blocks_free;
    stats.prompt_tokens = counters_.prompt_tokens;
    stats.cached_tokens = counters_.cached_tokens;
    stats.completion_tokens = counters_.completion_tokens;
    stats.drafted_tokens = counters_.drafted_tokens;
    stats.accepted_tokens = counters_.accepted_tokens;
    stats.passes = counters_.passes;
    stats.preemptions = counters_.preemptions;
    stats.weight_bytes = parts_.model->weight_bytes() + (parts_.draft ? parts_.draft->weight_bytes() : 0);
    stats.working_bytes = options_.working_bytes;
    stats.load_ms = parts_.load_ms;
    return stats;
  }

  // Until stop(); on the engine's thread.
  void run() {
    for (;;) {
      std::vector<Job> cancelled;
      {
        std::unique_lock lock(mutex_);
        counters_ = scheduler_.counters();
        if (scheduler_.idle()) wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
        if (stop_) break;
        cancelled = take_cancelled();
        while (!waiting_.empty() && scheduler_.admits(waiting_.front())) {
          scheduler_.start(std::move(waiting_.front()));
          waiting_.pop_front();
        }
        counters_ = scheduler_.counters();
      }
      // Sinks run without the lock: they may submit.
      for (Job& job : cancelled) end_unstarted(job);
      scheduler_.step([this] { return between_layers(); });
    }
    scheduler_.cancel_all();
    std::deque<Job> left;
    {
      const std::lock_guard lock(mutex_);
      left.swap(waiting_);
      counters_ = scheduler_.counters();
    }
    for (Job& job : left) end_unstarted(job);
  }

 private:
  // Out of the queue; with the lock held.
  std::vector<Job> take_cancelled() {
    std::vector<Job> cancelled;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (it->cancel.cancelled()) {
        cancelled.push_back(std::move(*it));
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
    return cancelled;
  }

  // A pass may take seconds: who waits and is cancelled hears of it within a layer. True: the engine ends.
  bool between_layers() {
    std::vector<Job> cancelled;
    bool stop = false;
    {
      const std::lock_guard lock(mutex_);
      stop = stop_;
      cancelled = take_cancelled();
    }
    for (Job& job : cancelled) end_unstarted(job);
    return stop;
  }

  static void end_unstarted(Job& job) {
    FinishEvent event;
    event.reason = FinishReason::kCancelled;
    event.prompt_tokens = static_cast<int>(job.request.prompt.size());
    event.timings.queue_ms = static_cast<double>(base::system_clock().now_ns() - job.submitted_ns) * 1e-6;
    job.sink(event);
  }

  EngineParts parts_;
  std::unique_ptr<KvPool> kv_;
  std::unique_ptr<KvPool> draft_kv_;
  std::unique_ptr<DraftModel> draft_;
  RequestLimits limits_;
  LoopOptions options_;
  Scheduler scheduler_;  // the engine thread's

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> waiting_;
  SchedulerCounters counters_;
  bool stop_ = false;
};

// A sink, or what it holds, may own the last reference to its engine and drop it on the engine's own thread, which
// can't be waited for there: it then ends by itself, and the loop goes with it.
class EngineImpl final : public Engine {
 public:
  explicit EngineImpl(std::shared_ptr<Loop> loop) : loop_(std::move(loop)), thread_([loop = loop_] { loop->run(); }) {}
  ~EngineImpl() override {
    loop_->stop();
    if (thread_.get_id() == std::this_thread::get_id()) {
      thread_.detach();
    } else {
      thread_.join();
    }
  }
  EngineImpl(const EngineImpl&) = delete;
  EngineImpl& operator=(const EngineImpl&) = delete;

  base::Status submit(Request request, Sink sink, base::CancelToken cancel) override {
    return loop_->submit(std::move(request), std::move(sink), std::move(cancel));
  }
  [[nodiscard]] const text::Tokenizer& tokenizer() const override { return *loop_->parts().tokenizer; }
  [[nodiscard]] const text::ChatTemplate* chat_template() const override { return loop_->parts().chat_template.get(); }
  [[nodiscard]] const model::ModelConfig& config() const override { return loop_->parts().model->config(); }
  [[nodiscard]] const std::string& model_hash() const override { return loop_->parts().model->hash(); }
  [[nodiscard]] int context() const override { return loop_->context(); }
  [[nodiscard]] SamplingParams default_sampling() const override { return loop_->parts().default_sampling; }
  [[nodiscard]] EngineStats stats() const override { return loop_->stats(); }

 private:
  std::shared_ptr<Loop> loop_;
  std::thread thread_;
};

// The most that passes, their logits and the samplers take beside the weights.
size_t working_bytes(const model::Model& model, const EngineOptions& options, int workers) {
  const auto vocab = static_cast<size_t>(model.config().n_vocab);
  const int rows = std::max(options.max_running, Speculator::kMaxRows) + kScoredRows;
  const size_t sampler = sizeof(Candidate) + 2 * sizeof(float);  // a vocabulary's candidates, weights and counts
  return model.workspace_bytes(options.max_batch_tokens, rows) + vocab * sizeof(float) * static_cast<size_t>(rows) +
         vocab * sampler * static_cast<size_t>(workers);
}

// Bytes for the KV pool: what was asked for, or what max_running requests of the whole context need. Never more than
// the declared memory leaves, or, where none was declared, three quarters of what the process may still take.
base::Result<size_t> kv_bytes_for(const model::Model& model, int context, const EngineOptions& options, size_t weights,
                                  size_t working) {
  const size_t block = model.kv_layout().block_bytes();
  const auto left_of = [](size_t whole, size_t part) { return whole > part ? whole - part : 0; };
  size_t room = std::numeric_limits<size_t>::max();
  if (options.memory_bytes > 0) {
    room = left_of(options.memory_bytes, weights + working);
  } else if (const size_t available = available_memory(); available > 0 && options.kv_bytes == 0) {
    room = left_of(available, working) / 4 * 3;
  }
  const size_t wanted = std::max(block, options.kv_bytes);
  if (room < wanted) {
    return base::fail(
        Code::kOutOfMemory,
        fmt::format("{}: expected room for {} MB of weights, {} MB of working memory and {} MB of KV cache{}, found {}",
                    model.config().name, weights >> 20, working >> 20, (wanted + (1 << 20) - 1) >> 20,
                    options.kv_bytes > 0 ? "" : " (one block)",
                    options.memory_bytes > 0
                        ? fmt::format("a memory budget of {} MB", options.memory_bytes >> 20)
                        : fmt::format("{} MB that the machine can still give", (room / 3 * 4 + working) >> 20)));
  }
  if (options.kv_bytes > 0) return options.kv_bytes;
  const size_t most = block * static_cast<size_t>(Scheduler::blocks_for(context, 1)) *
                      static_cast<size_t>(std::max(1, options.max_running));
  return std::min(most, room);
}

base::Status check_options(const EngineOptions& o, int trained) {
  const auto bad = [](const char* what, auto expected, auto found) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("engine options: {}: expected {}, found {}", what, expected, found));
  };
  if (o.max_batch_tokens < 1) return bad("max_batch_tokens", "1 or more", o.max_batch_tokens);
  if (o.max_running < 1) return bad("max_running", "1 or more", o.max_running);
  if (o.max_waiting < 0) return bad("max_waiting", "0 or more", o.max_waiting);
  if (!(o.itl_target_ms > 0)) return bad("itl_target_ms", "more than 0", o.itl_target_ms);
  if (o.context < 0 || o.context > trained) {
    return bad("context", fmt::format("0 (default) to {}, what the model was trained for", trained), o.context);
  }
  return {};
}

}  // namespace

base::Result<std::unique_ptr<Engine>> Engine::assemble(EngineParts parts, const EngineOptions& options) {
  CHECK(parts.pool != nullptr && parts.model != nullptr && parts.tokenizer != nullptr && parts.table != nullptr);
  const model::Model& model = *parts.model;
  TRY_STATUS(check_options(options, model.config().n_context));
  int context = options.context > 0 ? options.context : std::min(model.config().n_context, kDefaultContext);
  size_t weights = model.weight_bytes();
  size_t working = working_bytes(model, options, parts.pool->size());
  std::unique_ptr<KvPool> draft_kv;
  if (parts.draft != nullptr) {
    const int draft_blocks = kDraftedRequests * Scheduler::blocks_for(context + Speculator::kMaxRows, 1);
    TRY(draft_kv, KvPool::create(parts.draft->kv_layout(), draft_blocks));
    weights += parts.draft->weight_bytes();
    working += draft_kv->bytes() + parts.draft->workspace_bytes(Speculator::kMaxRows * DraftModel::kCatchUp, 8);
  }
  TRY(const size_t kv_bytes, kv_bytes_for(model, context, options, weights, working));
  const size_t block = model.kv_layout().block_bytes();
  const size_t blocks = std::min(kv_bytes / block, static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  if (blocks == 0) {
    return base::fail(Code::kOutOfMemory,
                      fmt::format("KV cache of {}: expected at least {} bytes (a block of {} tokens), "
                                  "found a budget of {}",
                                  model.config().name, block, kernels::kKvBlockTokens, kv_bytes));
  }
  // A request never holds more than the memory does: what is longer is refused at once instead of waiting for ever.
  const size_t held = blocks * kernels::kKvBlockTokens;
  const bool by_memory = held < static_cast<size_t>(context);
  if (by_memory) context = static_cast<int>(held);
  TRY(auto kv, KvPool::create(model.kv_layout(), static_cast<int>(blocks)));
  SchedulerOptions scheduler;
  scheduler.context = context;
  scheduler.max_batch_tokens = options.max_batch_tokens;
  scheduler.max_running = std::min(options.max_running, options.max_batch_tokens);
  scheduler.itl_target_ms = options.itl_target_ms;
  scheduler.prefix_cache = options.prefix_cache;
  scheduler.speculation = options.speculation;
  return std::make_unique<EngineImpl>(std::make_shared<Loop>(std::move(parts), std::move(kv), std::move(draft_kv),
                                                             scheduler,
                                                             LoopOptions{by_memory, working, options.max_waiting}));
}

}  // namespace concerto::engine
