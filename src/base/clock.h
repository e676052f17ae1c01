// Clock: the only source of time, so that tests can own it.
//
// now_ns(): monotonic nanoseconds, for intervals. wall_ms(): milliseconds since 1970 UTC, for records.
#pragma once

#include <cstdint>

namespace concerto::base {

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual int64_t now_ns() const = 0;
  [[nodiscard]] virtual int64_t wall_ms() const = 0;
};

// The machine's clock; lives as long as the program.
const Clock& system_clock();

// A clock that moves only when told to. Not thread-safe: tests drive it from one thread.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(int64_t wall_ms = 1'700'000'000'000) : wall_start_ms_(wall_ms) {}
  [[nodiscard]] int64_t now_ns() const override { return elapsed_ns_; }
  [[nodiscard]] int64_t wall_ms() const override { return wall_start_ms_ + elapsed_ns_ / 1'000'000; }
  void advance_ms(int64_t ms) { elapsed_ns_ += ms * 1'000'000; }

 private:
  int64_t wall_start_ms_;
  int64_t elapsed_ns_ = 0;
};

}  // namespace concerto::base
