// Timers: calls a function later. The seam that lets tests own the time of a cascade, as base::Clock does for reading
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace concerto::cascade {

class Timers {
 public:
  virtual ~Timers() = default;
  // Calls `f` once, `ms` from now or a little later, on the timers' own thread; f must not block. From any thread.
  // There is no cancelling: f looks whether it is still wanted.
  virtual void after(int64_t ms, std::function<void()> f) = 0;
};

// One thread. The destructor joins it and drops what is still to come.
std::unique_ptr<Timers> make_timers();

}  // namespace concerto::cascade
