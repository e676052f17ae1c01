// ThreadPool: the few threads that compute. One caller at a time runs a job on all of them.
//
// run(f) calls f(worker) once for each worker in [0, size()), worker 0 on the calling thread, and returns when all have
// finished. Workers spin briefly (about 20 us) before they sleep, since a forward pass starts hundreds of jobs.
// Results may not depend on which worker did what: the engine's determinism contract rests on that.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace concerto::base {

class ThreadPool {
 public:
  // threads >= 1, counting the caller. 0: one per available core (sched affinity and cgroup quota respected).
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int size() const noexcept { return size_; }

  template <class F>
  void run(F&& f) {
    run_erased([](void* context, int worker) { (*static_cast<std::remove_reference_t<F>*>(context))(worker); },
               const_cast<void*>(static_cast<const void*>(&f)));
  }

  // Splits [0, count) into chunks of `grain` items that workers take from a shared counter; f(begin, end, worker). For
  // items of unequal work, the largest first.
  template <class F>
  void parallel_for(int count, int grain, F&& f) {
    if (count <= 0) return;
    if (size_ == 1 || count <= grain) {
      f(0, count, 0);
      return;
    }
    std::atomic<int> next{0};
    run([&](int worker) {
      for (;;) {
        const int begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= count) return;
        f(begin, begin + grain < count ? begin + grain : count, worker);
      }
    });
  }

  // The same by runs of neighbours, one a worker and the same in every job of this count: what a worker wrote in one
  // job it finds in its own caches in the next, and memory is read in long runs. Done with its run, it takes of the
  // others'.
  template <class F>
  void parallel_runs(int count, int grain, F&& f) {
    if (count <= 0) return;
    if (size_ == 1 || count <= grain) {
      f(0, count, 0);
      return;
    }
    share_out(count, grain);
    run([&](int worker) {
      for (int i = 0; i < size_; ++i) {
        Run& taken = runs_[static_cast<size_t>((worker + i) % size_)];
        for (;;) {
          const int begin = taken.next.fetch_add(grain, std::memory_order_relaxed);
          if (begin >= taken.end) break;
          f(begin, begin + grain < taken.end ? begin + grain : taken.end, worker);
        }
      }
    });
  }

 private:
  using Job = void (*)(void*, int);
  // What is left of a worker's run; on a cache line of its own.
  struct alignas(64) Run {
    std::atomic<int> next{0};
    int end = 0;
  };
  void share_out(int count, int grain) noexcept;
  void run_erased(Job job, void* context);
  void worker_loop(int worker);

  int size_;
  Job job_ = nullptr;
  void* context_ = nullptr;
  std::atomic<uint64_t> generation_{0};  // bumped to start a job
  std::atomic<int> running_{0};          // workers that have not finished the current job
  std::atomic<int> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Run> runs_;
  std::vector<std::thread> threads_;
};

// Cores this process may use: affinity mask, then the cgroup v2 CPU quota rounded up; at least 1.
int available_cores();

}  // namespace concerto::base
