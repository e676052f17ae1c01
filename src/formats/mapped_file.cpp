#include "formats/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace concerto::formats {

using base::Code;

base::Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    return base::fail(error == ENOENT ? Code::kNotFound : Code::kIo,
                      fmt::format("{}: cannot open: {}", path, std::strerror(error)));
  }
  struct stat info{};
  void* data = MAP_FAILED;
  int error = 0;
  if (::fstat(fd, &info) != 0) {
    error = errno;
  } else if (S_ISREG(info.st_mode) && info.st_size > 0) {
    data = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) error = errno;
  }
  ::close(fd);
  if (error != 0) return base::fail(Code::kIo, fmt::format("{}: cannot map: {}", path, std::strerror(error)));
  if (!S_ISREG(info.st_mode)) return base::fail(Code::kInvalidArgument, fmt::format("{}: expected a file", path));
  if (data == MAP_FAILED) return base::fail(Code::kCorrupt, fmt::format("{}: the file is empty", path));
  return std::unique_ptr<MappedFile>(
      new MappedFile(static_cast<const std::byte*>(data), static_cast<size_t>(info.st_size)));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

void MappedFile::release(std::span<const std::byte> part) const noexcept {
  if (part.data() < data_ || part.size() > size_) return;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<size_t>(part.data() - data_);  // data_ is the start of a page
  const size_t begin = (offset + page - 1) / page * page;
  const size_t end = (offset + part.size()) / page * page;
  if (end > begin) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace concerto::formats
