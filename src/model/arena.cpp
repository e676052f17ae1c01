#include "model/arena.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace concerto::model {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

Arena::~Arena() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

Arena::Arena(Arena&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

base::Result<Arena> Arena::allocate(size_t bytes, std::string_view subject) {
  const auto pages = ::sysconf(_SC_PHYS_PAGES);
  const auto page = ::sysconf(_SC_PAGESIZE);
  const auto machine = static_cast<uint64_t>(pages) * static_cast<uint64_t>(page);
  if (pages > 0 && page > 0 && bytes > machine)
    return base::fail(base::Code::kOutOfMemory, fmt::format("{}: weights need {} MiB, this machine has {} MiB", subject,
                                                            bytes >> 20, machine >> 20));
  // Map one huge page more than needed and give back what lies around the aligned part.
  const size_t wanted = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* raw = ::mmap(nullptr, wanted + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED)
    return base::fail(base::Code::kOutOfMemory,
                      fmt::format("{}: weights need {} MiB: {}", subject, bytes >> 20, std::strerror(errno)));
  auto* start = static_cast<std::byte*>(raw);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(raw) % kHugePage) % kHugePage;
  if (before > 0) ::munmap(start, before);
  if (before < kHugePage) ::munmap(start + before + wanted, kHugePage - before);
  Arena arena;
  arena.data_ = start + before;
  arena.bytes_ = wanted;
  ::madvise(arena.data_, arena.bytes_, MADV_HUGEPAGE);  // a hint: refusal costs only speed
  return arena;
}

}  // namespace concerto::model
