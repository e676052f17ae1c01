// CancelToken: a flag shared by the one who asks for work and those who do it. Copies share the flag; thread-safe.
#pragma once

#include <atomic>
#include <memory>

namespace concerto::base {

class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
  void cancel() const noexcept { flag_->store(true, std::memory_order_release); }
  [[nodiscard]] bool cancelled() const noexcept { return flag_->load(std::memory_order_acquire); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

}  // namespace concerto::base
