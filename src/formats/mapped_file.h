// MappedFile: a whole file, read-only, in the address space. Lives as long as the object; reads are thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace concerto::formats {

class MappedFile {
 public:
  // kNotFound / kIo with the path and the system's reason; kCorrupt for an empty file; a folder is kInvalidArgument.
  static base::Result<std::unique_ptr<MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  // Drops the pages that lie wholly inside `part` from this process (they can be read again from the file).
  void release(std::span<const std::byte> part) const noexcept;

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

}  // namespace concerto::formats
