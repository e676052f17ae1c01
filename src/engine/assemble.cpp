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

// What the engine's thread works on. It belongs to that thread as much as to the Engine, see EngineImpl.
class Loop {
 public:
  Loop(EngineParts parts, std::unique_ptr<KvPool> kv, const SchedulerOptions& options, int max_waiting)
      : parts_(std::move(parts)),
        kv_(std::move(kv)),
        limits_{parts_.model->config().n_vocab, options.context, kv_->blocks()},
        max_waiting_(max_waiting),
        scheduler_({parts_.model.get(), parts_.tokenizer.get(), parts_.pool.get(), kv_.get(), parts_.table->log_sum_exp,
                    &base::system_clock()},
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
      if (std::ssize(waiting_) >= max_waiting_) {
        return base::fail(Code::kBusy, fmt::format("engine: {} requests are waiting already, the limit is {}",
                                                   waiting_.size(), max_waiting_));
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
    stats.waiting = static_cast<int>(waiting_.size());
    stats.kv_blocks_total = kv_->blocks();
    stats.kv_blocks_free = counters_.blocks_free;
    stats.prompt_tokens = counters_.prompt_tokens;
    stats.cached_tokens = counters_.cached_tokens;
    stats.completion_tokens = counters_.completion_tokens;
    stats.passes = counters_.passes;
    stats.weight_bytes = parts_.model->weight_bytes();
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
        take_waiting(&cancelled);
        counters_ = scheduler_.counters();
      }
      // Sinks run without the lock: they may submit.
      for (Job& job : cancelled) end_unstarted(job);
      scheduler_.step();
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
  // Starts those whose turn it is, in order: the first that does not fit holds back the others, so none starves.
  void take_waiting(std::vector<Job>* cancelled) {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (it->cancel.cancelled()) {
        cancelled->push_back(std::move(*it));
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
    while (!waiting_.empty() && scheduler_.admits(waiting_.front())) {
      scheduler_.start(std::move(waiting_.front()));
      waiting_.pop_front();
    }
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
  RequestLimits limits_;
  int max_waiting_;
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

// Bytes for the KV pool when none were declared: what max_running requests of the whole context need, but at most three
// quarters of what the process may still take once the forward pass has its own memory.
base::Result<size_t> default_kv_bytes(const model::Model& model, int context, const EngineOptions& options) {
  const size_t block = model.kv_layout().block_bytes();
  const size_t most = block * static_cast<size_t>(Scheduler::blocks_for(context, 1)) *
                      static_cast<size_t>(std::max(1, options.max_running));
  const size_t available = available_memory();
  if (available == 0) return most;  // the system does not say
  const size_t pass =
      model.workspace_bytes(options.max_batch_tokens, options.max_running + 64) +
      static_cast<size_t>(model.config().n_vocab) * sizeof(float) * static_cast<size_t>(options.max_running + 64);
  const size_t room = available > pass ? (available - pass) / 4 * 3 : 0;
  if (room < block) {
    return base::fail(
        Code::kOutOfMemory,
        fmt::format("KV cache of {}: expected at least {} bytes free beside the weights and {} of working "
                    "memory, found {} available",
                    model.config().name, block, pass, available));
  }
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
  size_t kv_bytes = options.kv_bytes;
  if (kv_bytes == 0) {
    TRY(kv_bytes, default_kv_bytes(model, context, options));
  }
  const size_t block = model.kv_layout().block_bytes();
  const size_t blocks = std::min(kv_bytes / block, static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  if (blocks == 0) {
    return base::fail(Code::kOutOfMemory,
                      fmt::format("KV cache of {}: expected at least {} bytes (a block of {} tokens), "
                                  "found a budget of {}",
                                  model.config().name, block, kernels::kKvBlockTokens, kv_bytes));
  }
  // A context nobody asked for shrinks to what the memory holds; one that was asked for stays, and a request that needs
  // more than the memory is refused.
  if (options.context == 0) {
    context = static_cast<int>(std::min<size_t>(static_cast<size_t>(context), blocks * kernels::kKvBlockTokens));
  }
  TRY(auto kv, KvPool::create(model.kv_layout(), static_cast<int>(blocks)));
  SchedulerOptions scheduler;
  scheduler.context = context;
  scheduler.max_batch_tokens = options.max_batch_tokens;
  scheduler.max_running = std::min(options.max_running, options.max_batch_tokens);
  scheduler.itl_target_ms = options.itl_target_ms;
  scheduler.prefix_cache = options.prefix_cache;
  return std::make_unique<EngineImpl>(
      std::make_shared<Loop>(std::move(parts), std::move(kv), scheduler, options.max_waiting));
}

}  // namespace concerto::engine
