#include "cascade/timers.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <queue>
#include <thread>
#include <utility>
#include <vector>

namespace concerto::cascade {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct Entry {
  SteadyClock::time_point due;
  uint64_t order;  // of those due at the same moment, the one asked for first runs first
  std::function<void()> f;
};

struct Later {
  bool operator()(const Entry& a, const Entry& b) const { return a.due != b.due ? a.due > b.due : a.order > b.order; }
};

class ThreadTimers final : public Timers {
 public:
  ThreadTimers() : thread_([this] { loop(); }) {}
  ~ThreadTimers() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  ThreadTimers(const ThreadTimers&) = delete;
  ThreadTimers& operator=(const ThreadTimers&) = delete;

  void after(int64_t ms, std::function<void()> f) override {
    bool is_next = false;
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
      const auto due = SteadyClock::now() + std::chrono::milliseconds(ms > 0 ? ms : 0);
      is_next = queue_.empty() || due < queue_.top().due;
      queue_.push({due, next_order_++, std::move(f)});
    }
    if (is_next) wake_.notify_one();
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (queue_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const auto due = queue_.top().due;
      if (SteadyClock::now() < due) {
        wake_.wait_until(lock, due);
        continue;
      }
      // top() is const because its order must not change; the entry is popped at once.
      std::function<void()> f = std::move(const_cast<Entry&>(queue_.top()).f);
      queue_.pop();
      lock.unlock();
      f();
      f = nullptr;  // what it holds goes without the lock: it may ask for a timer
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::priority_queue<Entry, std::vector<Entry>, Later> queue_;  // guarded by mutex_
  uint64_t next_order_ = 0;                                      // guarded by mutex_
  bool stop_ = false;                                            // guarded by mutex_
  std::thread thread_;                                           // last: it uses the others
};

}  // namespace

std::unique_ptr<Timers> make_timers() { return std::make_unique<ThreadTimers>(); }

}  // namespace concerto::cascade
