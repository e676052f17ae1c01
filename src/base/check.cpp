#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace concerto::base {

void check_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, expression);
  std::abort();
}

}  // namespace concerto::base
