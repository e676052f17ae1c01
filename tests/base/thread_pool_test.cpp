#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace concerto::base {
namespace {

TEST(ThreadPool, RunsEachWorkerOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(threads));
      pool.run([&](int worker) { seen.at(static_cast<size_t>(worker)).fetch_add(1); });
      for (const auto& count : seen) ASSERT_EQ(count.load(), 1) << threads << " threads, round " << round;
    }
  }
}

TEST(ThreadPool, WorkerZeroIsTheCaller) {
  ThreadPool pool(2);
  std::thread::id zero;
  pool.run([&](int worker) {
    if (worker == 0) zero = std::this_thread::get_id();
  });
  EXPECT_EQ(zero, std::this_thread::get_id());
}

TEST(ThreadPool, WakesSleepersAgain) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // long enough for workers to stop spinning
    std::atomic<int> ran{0};
    pool.run([&](int) { ++ran; });
    ASSERT_EQ(ran.load(), 3);
  }
}

TEST(ThreadPool, EachItemIsDoneOnce) {
  ThreadPool pool(4);
  for (const int count : {-1, 0, 1, 2, 7, 64, 1000}) {
    for (const int grain : {1, 3, 64, 5000}) {
      for (const bool runs : {false, true}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(std::max(count, 0)));
        const auto job = [&](int begin, int end, int worker) {
          EXPECT_LT(begin, end);
          EXPECT_TRUE(worker >= 0 && worker < pool.size());
          for (int i = begin; i < end; ++i) seen.at(static_cast<size_t>(i)).fetch_add(1);
        };
        if (runs) {
          pool.parallel_runs(count, grain, job);
        } else {
          pool.parallel_for(count, grain, job);
        }
        for (const auto& one : seen) ASSERT_EQ(one.load(), 1) << count << " by " << grain;
      }
    }
  }
}

TEST(ThreadPool, AWorkerBeginsWithItsOwnRunAndTakesOfTheOthersWhenDone) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::atomic<int>> done_by(10);
    std::atomic<bool> zero_began{false};
    std::atomic<bool> one_is_done{false};
    pool.parallel_runs(10, 1, [&](int item, int, int worker) {
      done_by[static_cast<size_t>(item)] = worker;
      if (worker == 0) {  // stays with its first item until the other worker has done everything else
        zero_began = true;
        while (!one_is_done) std::this_thread::yield();
      } else {
        while (!zero_began) std::this_thread::yield();
        if (item == 4) one_is_done = true;
      }
    });
    EXPECT_EQ(done_by[0].load(), 0);
    for (size_t i = 1; i < done_by.size(); ++i) EXPECT_EQ(done_by[i].load(), 1) << i;
  }
}

TEST(ThreadPool, ZeroMeansTheCoresOfThisProcess) {
  EXPECT_GE(available_cores(), 1);
  EXPECT_EQ(ThreadPool(0).size(), available_cores());
}

}  // namespace
}  // namespace concerto::base
