// KvPool: the memory of the KV cache, in blocks of kKvBlockTokens positions (all layers, all kv heads).
//
// One anonymous mapping of `blocks` blocks: the operating system provides a page when it is first written, so an idle
// server does not hold the whole budget. Knows nothing about who uses a block: that is kv_cache.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "kernels/kernels.h"

namespace concerto::engine {

class KvPool {
 public:
  // kOutOfMemory when the address space can't be had.
  static base::Result<std::unique_ptr<KvPool>> create(const kernels::KvLayout& layout, int blocks);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  [[nodiscard]] uint16_t* base() const noexcept { return base_; }
  [[nodiscard]] int blocks() const noexcept { return blocks_; }
  [[nodiscard]] size_t bytes() const noexcept { return bytes_; }

 private:
  KvPool(uint16_t* base, size_t bytes, int blocks) : base_(base), bytes_(bytes), blocks_(blocks) {}
  uint16_t* base_;
  size_t bytes_;
  int blocks_;
};

}  // namespace concerto::engine
