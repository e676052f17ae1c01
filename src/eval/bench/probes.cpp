#include "eval/bench/probes.h"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu_features.h"

namespace concerto::eval {
namespace {

double seconds_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) void dot_chain(int rounds) {
  for (int i = 0; i < rounds; ++i) {
    asm volatile(
        "vpdpbusd %%zmm30, %%zmm31, %%zmm0\n vpdpbusd %%zmm30, %%zmm31, %%zmm1\n vpdpbusd %%zmm30, %%zmm31, %%zmm2\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm3\n vpdpbusd %%zmm30, %%zmm31, %%zmm4\n vpdpbusd %%zmm30, %%zmm31, %%zmm5\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm6\n vpdpbusd %%zmm30, %%zmm31, %%zmm7\n vpdpbusd %%zmm30, %%zmm31, %%zmm8\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm9\n vpdpbusd %%zmm30, %%zmm31, %%zmm10\n vpdpbusd %%zmm30, %%zmm31, "
        "%%zmm11\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");
  }
}
#endif

// `words` of the memory, each once.
void read_words(const uint64_t* p, size_t words) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= words; i += 8) {
    for (int j = 0; j < 8; ++j) sums[j] += p[i + j];
  }
  for (const uint64_t s : sums) {
    asm volatile("" ::"r"(s));
  }
}

// Seconds from the start of the first to the end of the last. They start when all of them run.
double wall_of_threads(int threads, const std::function<void(int)>& work) {
  std::vector<std::pair<double, double>> spans(static_cast<size_t>(threads));
  std::vector<std::thread> workers;
  workers.reserve(static_cast<size_t>(threads));
  std::atomic<int> ready{0};
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (++ready; ready.load() < threads;) {
      }
      const double start = seconds_of(CLOCK_MONOTONIC);
      work(t);
      spans[static_cast<size_t>(t)] = {start, seconds_of(CLOCK_MONOTONIC)};
    });
  }
  for (auto& w : workers) w.join();
  double first = spans[0].first;
  double last = spans[0].second;
  for (const auto& [start, end] : spans) {
    first = std::min(first, start);
    last = std::max(last, end);
  }
  return last - first;
}

}  // namespace

double thread_seconds() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }
double wall_seconds() { return seconds_of(CLOCK_MONOTONIC); }

double best_seconds(int repeats, const std::function<void()>& work) {
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const double start = thread_seconds();
    work();
    best = std::min(best, thread_seconds() - start);
  }
  return best;
}

double core_hz() {
  constexpr int kAdds = 4'000'000;
  const double seconds = best_seconds(12, [] {
    uint64_t x = 1;
    for (int i = 0; i < kAdds; ++i) {
#if defined(__x86_64__)
      asm volatile("add %0, %0" : "+r"(x));
#else
      asm volatile("" : "+r"(x));
      x += x;
#endif
    }
  });
  return kAdds / seconds;
}

double int8_peak_per_cycle(double hz) {
#if defined(__x86_64__)
  if (!base::cpu_features().avx512_vnni) return 0;
  constexpr int kRounds = 200'000;
  const double seconds = best_seconds(8, [] { dot_chain(kRounds); });
  return 12.0 * 64 * kRounds / (seconds * hz);
#else
  (void)hz;
  return 0;
#endif
}

double dram_read_rate(int threads, size_t bytes) {
  const std::vector<uint64_t> memory(bytes / 8, 3);
  const size_t part = memory.size() / static_cast<size_t>(threads);
  double best = 0;
  for (int pass = 0; pass < 4; ++pass) {
    best = std::max(best, rate_of_threads(threads, static_cast<double>(part) * 8, [&](int t) {
                      read_words(memory.data() + static_cast<size_t>(t) * part, part);
                    }));
  }
  return best;
}

Ceilings probe_ceilings(int threads) {
  constexpr size_t kBytes = 512UL << 20;  // many times what a cache holds, and each line is read once before any again
  constexpr size_t kParts = 8;
  constexpr size_t kLaps = 3;
  Ceilings found;
  // No two lines alike, so that nothing below us can keep them as one.
  std::vector<uint64_t> memory(kBytes / 8);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = i * 0x9E3779B97F4A7C15ULL;
  const size_t words = memory.size() / kParts / static_cast<size_t>(threads) / 8 * 8;
  std::vector<double> rates;
  for (size_t pass = 0; pass < kParts * kLaps; ++pass) {
    const uint64_t* part = memory.data() + pass % kParts * (memory.size() / kParts);
    const double seconds =
        wall_of_threads(threads, [&](int t) { read_words(part + static_cast<size_t>(t) * words, words); });
    rates.push_back(static_cast<double>(words) * 8 * threads / seconds);
#if defined(__x86_64__)
    if (!base::cpu_features().avx512_vnni) continue;
    constexpr int kRounds = 500'000;
    const double dots = wall_of_threads(threads, [](int) { dot_chain(kRounds); });
    found.int8_macs_per_s = std::max(found.int8_macs_per_s, 12.0 * 64 * kRounds * threads / dots);
#endif
  }
  // The best of a few milliseconds is no ceiling for seconds of work: a machine that others share reads at twice its
  // usual rate now and then. The dots are bound by the cores alone: there the best is what they do undisturbed.
  std::ranges::nth_element(rates, rates.begin() + static_cast<ptrdiff_t>(rates.size() / 2));
  found.bytes_per_s = rates[rates.size() / 2];
  return found;
}

double rate_of_threads(int threads, double units_each, const std::function<void(int)>& work) {
  std::vector<double> seconds(static_cast<size_t>(threads));
  std::vector<std::thread> workers;
  workers.reserve(static_cast<size_t>(threads));
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      const double start = thread_seconds();
      work(t);
      seconds[static_cast<size_t>(t)] = thread_seconds() - start;
    });
  }
  for (auto& w : workers) w.join();
  double rate = 0;
  for (const double s : seconds) rate += units_each / s;
  return rate;
}

}  // namespace concerto::eval
