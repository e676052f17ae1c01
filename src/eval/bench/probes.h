// The machine's ceilings, probed in the same run as what is compared with them.
#pragma once

#include <cstddef>
#include <functional>

namespace concerto::eval {

// Seconds of CPU time of the calling thread: other processes' work does not count, stolen cache and bandwidth do.
double thread_seconds();
double wall_seconds();

// The least seconds of one call over `repeats` calls, by CPU time of this thread.
double best_seconds(int repeats, const std::function<void()>& work);

// Core clock under the present load, cycles a second: a chain of dependent additions, one a cycle.
double core_hz();

// int8 multiply-adds a cycle of one core (AVX-512 VNNI); 0 where the instruction does not exist.
double int8_peak_per_cycle(double hz);

// Runs work(0..threads-1) at once; the sum of the threads' rates, units_each a thread, by the CPU time of each: right
// on a shared machine as long as the threads do run side by side.
double rate_of_threads(int threads, double units_each, const std::function<void(int)>& work);

// Bytes a second that `threads` threads read from memory together, best of a few passes over `bytes`.
double dram_read_rate(int threads, size_t bytes);

// Both ceilings of `threads` threads together, by wall clock: on a busy machine they come out low, never high.
struct Ceilings {
  double int8_macs_per_s = 0;  // 0 where the instruction does not exist
  double bytes_per_s = 0;
};
Ceilings probe_ceilings(int threads);

}  // namespace concerto::eval
