#include "engine/kv_pool.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"

namespace concerto::engine {

base::Result<std::unique_ptr<KvPool>> KvPool::create(const kernels::KvLayout& layout, int blocks) {
  CHECK(blocks > 0);
  uint64_t bytes = 0;
  if (!base::checked_mul(layout.block_bytes(), static_cast<uint64_t>(blocks), &bytes)) {
    return base::fail(base::Code::kOutOfMemory, fmt::format("KV pool: {} blocks overflow the address space", blocks));
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return base::fail(base::Code::kOutOfMemory,
                      fmt::format("KV pool: expected {} bytes, the system refused: {}", bytes, std::strerror(errno)));
  }
  // Attention reads whole blocks in order: big pages save most of its TLB misses. A hint, its failure means nothing.
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
  return std::unique_ptr<KvPool>(new KvPool(static_cast<uint16_t*>(memory), bytes, blocks));
}

KvPool::~KvPool() { munmap(base_, bytes_); }

}  // namespace concerto::engine
