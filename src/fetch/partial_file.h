// PartialFile: PATH.incomplete and its note PATH.incomplete.from, while a file arrives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fetch/digest.h"

namespace concerto::fetch {

class PartialFile {
 public:
  // What has arrived is kept when its note names `identity` (a checksum, or an address's), else it is emptied. Kept
  // bytes are hashed here.
  static base::Result<std::unique_ptr<PartialFile>> open(const std::string& path, const std::string& identity,
                                                         ChecksumKind kind, uint64_t size);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  base::Status append(std::string_view bytes);
  base::Status restart();  // forgets all bytes
  // The ETag that the bytes belong to; empty when the server gave none.
  base::Status set_tag(const std::string& tag);

  [[nodiscard]] uint64_t have() const noexcept { return have_; }
  [[nodiscard]] const std::string& tag() const noexcept { return tag_; }
  [[nodiscard]] std::string finish_digest() { return digest_->finish(); }  // once; then restart() or commit()
  base::Status commit();                                                   // on the disk, then under its final name
  void remove();                                                           // nothing is left

 private:
  PartialFile(std::string path, std::string identity, ChecksumKind kind, uint64_t size);
  base::Status write_note() const;

  std::string path_, incomplete_, note_, identity_, tag_;
  ChecksumKind kind_;
  uint64_t size_;
  int file_ = -1;
  uint64_t have_ = 0;
  std::unique_ptr<Digest> digest_;
};

// The whole of a small file; empty when it can't be read.
std::string read_small(const std::string& path);
// Replaces a small file at once: it is the old one or the new one, never half of one.
base::Status write_small(const std::string& path, std::string_view text);

}  // namespace concerto::fetch
