// CHECK: for our own bugs only. Input from outside is never able to reach a failing CHECK; it gets a Result.
#pragma once

namespace concerto::base {
// Prints "file:line: CHECK failed: expression" to stderr and aborts.
[[noreturn]] void check_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace concerto::base

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) ::concerto::base::check_failed(#condition, __FILE__, __LINE__); \
  } while (0)
