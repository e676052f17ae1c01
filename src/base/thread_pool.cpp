#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace concerto::base {
namespace {

constexpr auto kSpin = std::chrono::microseconds(20);

void cpu_pause() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

int available_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  if (std::ifstream in("/sys/fs/cgroup/cpu.max"); in) {
    std::string quota;
    double period = 0;
    if (in >> quota >> period && quota != "max" && period > 0) {
      const double allowed = std::strtod(quota.c_str(), nullptr) / period;
      if (allowed > 0) cores = std::min(cores, std::max(1, static_cast<int>(allowed + 0.999)));
    }
  }
  return std::max(1, cores);
}

ThreadPool::ThreadPool(int threads)
    : size_(threads > 0 ? threads : available_cores()), runs_(static_cast<size_t>(size_)) {
  for (int worker = 1; worker < size_; ++worker) threads_.emplace_back([this, worker] { worker_loop(worker); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ThreadPool::share_out(int count, int grain) noexcept {
  const int64_t chunks = (count + grain - 1) / grain;
  for (int worker = 0; worker < size_; ++worker) {
    Run& run = runs_[static_cast<size_t>(worker)];
    run.next.store(static_cast<int>(chunks * worker / size_) * grain, std::memory_order_relaxed);
    run.end = std::min(static_cast<int>(chunks * (worker + 1) / size_) * grain, count);
  }
}

void ThreadPool::run_erased(Job job, void* context) {
  if (size_ == 1) {
    job(context, 0);
    return;
  }
  job_ = job;
  context_ = context;
  running_.store(size_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1);  // seq_cst: ordered against a worker's sleeping_ increment
  if (sleeping_.load() > 0) {
    {
      const std::lock_guard lock(mutex_);
    }  // a worker between its check and its wait holds the mutex
    wake_.notify_all();
  }
  job(context, 0);
  auto spins_until = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
  while (running_.load(std::memory_order_acquire) != 0) {
    cpu_pause();
    if (std::chrono::steady_clock::now() > spins_until) std::this_thread::yield();
  }
}

void ThreadPool::worker_loop(int worker) {
  uint64_t seen = 0;
  for (;;) {
    const auto spin_until = std::chrono::steady_clock::now() + kSpin;
    while (generation_.load(std::memory_order_acquire) == seen && !stop_.load(std::memory_order_relaxed)) {
      cpu_pause();
      if (std::chrono::steady_clock::now() < spin_until) continue;
      std::unique_lock lock(mutex_);
      sleeping_.fetch_add(1);
      wake_.wait(lock, [&] { return generation_.load() != seen || stop_.load(); });
      sleeping_.fetch_sub(1);
    }
    if (stop_) return;
    seen = generation_.load(std::memory_order_acquire);
    job_(context_, worker);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace concerto::base
