// The folder that models are fetched into: one process at a time, room on the disk, and what has been checked before.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/cancel_token.h"
#include "base/result.h"
#include "fetch/digest.h"

namespace concerto::fetch {

// Holds FOLDER/.pull.lock (flock) until it goes. Makes the folder when there is none.
class FolderLock {
 public:
  // Another process at work: `on_wait` once, then waits for it.
  static base::Result<std::unique_ptr<FolderLock>> take(const std::string& folder, const base::CancelToken& cancel,
                                                        const std::function<void()>& on_wait);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  explicit FolderLock(int file) : file_(file) {}
  int file_;
};

// kIo, saying what to do, when the disk under `folder` has fewer free bytes than `needed`.
base::Status check_room(const std::string& folder, uint64_t needed);

// Whether `path` is the very file. A large file's hash is worked out once: PATH.verified remembers it together with the
// time of the file's last change.
base::Result<bool> is_verified(const std::string& path, uint64_t size, const Checksum& checksum);
// Says that the file as it is now was checked.
void set_verified(const std::string& path, uint64_t size, const Checksum& checksum);

}  // namespace concerto::fetch
