// Arena: one block of zeroed memory for all the weights of a model, on huge pages where the system has them.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace concerto::model {

class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;

  // kOutOfMemory when more than this machine's memory is asked for or the system refuses; `subject` begins the message.
  static base::Result<Arena> allocate(size_t bytes, std::string_view subject);

  [[nodiscard]] std::byte* data() const noexcept { return data_; }  // aligned to a page at least
  [[nodiscard]] size_t bytes() const noexcept { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace concerto::model
