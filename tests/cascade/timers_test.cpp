#include "cascade/timers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "cascade/cascade.h"
#include "scripted.h"

namespace concerto::cascade {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST(Timers, RunInOrderAndNotEarly) {
  const auto timers = make_timers();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> order;
  const auto start = steady_clock::now();
  const auto note = [&](int value, int64_t ms) {
    timers->after(ms, [&, value, ms] {
      EXPECT_GE(steady_clock::now() - start, milliseconds(ms));
      const std::lock_guard lock(mutex);
      order.push_back(value);
      changed.notify_all();
    });
  };
  note(3, 60);
  note(1, 0);
  note(2, 20);
  note(4, 60);
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(10), [&] { return order.size() == 4; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
}

TEST(Timers, DestructionDropsWhatIsToCome) {
  const auto held = std::make_shared<int>(1);
  std::atomic<bool> ran{false};
  {
    const auto timers = make_timers();
    timers->after(60'000, [&ran, held] { ran = true; });
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Timers, AFunctionMayAskForMore) {
  const auto timers = make_timers();
  std::atomic<int> left{50};
  std::function<void()> again = [&] {
    if (--left > 0) timers->after(0, again);
  };
  timers->after(0, again);
  const auto end = steady_clock::now() + std::chrono::seconds(10);
  while (left > 0 && steady_clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(left, 0);
}

// Many requests at once over backends with threads of their own, real timers, clients that leave: for the race
// detector, and each ends once.
TEST(Timers, ACascadeUnderThreads) {
  base::set_log_level(base::LogLevel::kOff);
  constexpr int kRequests = 200;
  const auto timers = make_timers();
  // Joined before what they call is gone.
  std::mutex mutex;
  std::vector<std::thread> threads;
  std::atomic<int> starts{0};
  const auto threaded = [&](std::string name, float margin) {
    auto backend = std::make_shared<ScriptedBackend>(std::move(name));
    backend->caps.context = 0;
    backend->on_start = [&, margin](ScriptedBackend::Call& call) {
      const int number = ++starts;
      const std::lock_guard lock(mutex);
      threads.emplace_back([call, margin, number] {
        for (int i = 0; i < 12 && !call.cancel.cancelled(); ++i) {
          if (number % 7 == 0) std::this_thread::sleep_for(milliseconds(1));
          call.sink(word("w", number % 3 == 0 ? 1.0F : margin));
        }
        if (number % 5 == 0) {
          call.sink(base::Error{base::Code::kUpstream, "broke", {}});
        } else {
          call.sink(end_of(1, 12));
        }
      });
    };
    return backend;
  };
  CascadeOptions options;
  options.window_tokens = 8;
  auto cascade = *Cascade::create(
      options, {{threaded("fast", 0.2F), 5, 3}, {threaded("big", 0.9F), 50, 0}, {threaded("last", 0.5F), 1000, 0}},
      *timers, base::system_clock());
  std::vector<std::unique_ptr<Seen>> seen;
  std::vector<base::CancelToken> cancels(kRequests);
  std::atomic<int> ended{0};
  for (int i = 0; i < kRequests; ++i) seen.push_back(std::make_unique<Seen>());
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      for (int i = c; i < kRequests; i += 4) {
        cascade->start(
            ask(i % 9 == 0 ? "合同" : "hi"),
            [&, one = seen[static_cast<size_t>(i)].get()](CascadeEvent&& event) {
              const int before = one->ends;
              one->take(std::move(event));  // unguarded: the cascade promises one event at a time
              if (one->ends > before) ++ended;
            },
            cancels[static_cast<size_t>(i)]);
        if (i % 11 == 0) cancels[static_cast<size_t>(i)].cancel();
      }
    });
  }
  for (auto& one : clients) one.join();
  const auto end = steady_clock::now() + std::chrono::seconds(20);
  while (ended < kRequests && steady_clock::now() < end) std::this_thread::sleep_for(milliseconds(2));
  EXPECT_EQ(ended, kRequests);
  cascade.reset();
  for (;;) {
    std::vector<std::thread> some;
    {
      const std::lock_guard lock(mutex);
      some.swap(threads);
    }
    if (some.empty()) break;
    for (auto& one : some) one.join();
  }
  for (const auto& one : seen) {
    EXPECT_EQ(one->ends, 1);
    EXPECT_FALSE(one->late);
  }
}

}  // namespace
}  // namespace concerto::cascade
