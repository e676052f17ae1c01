#include "fetch/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/log.h"
#include "fetch/partial_file.h"

namespace concerto::fetch {
namespace {

using base::Code;

// Below this a file is hashed faster than anybody sees.
constexpr uint64_t kWorthRemembering = uint64_t{32} << 20;

std::optional<std::string> stamp_of(const std::string& path, const Checksum& checksum) {
  struct stat is{};
  if (::stat(path.c_str(), &is) != 0) return std::nullopt;
  return fmt::format("{} {}", checksum.hex,
                     static_cast<int64_t>(is.st_mtim.tv_sec) * 1'000'000'000 + is.st_mtim.tv_nsec);
}

}  // namespace

base::Result<std::unique_ptr<FolderLock>> FolderLock::take(const std::string& folder, const base::CancelToken& cancel,
                                                           const std::function<void()>& on_wait) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return base::fail(Code::kIo, fmt::format("{}: {}", folder, error.message()));
  const std::string path = folder + "/.pull.lock";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return base::fail(Code::kIo, fmt::format("{}: {}", path, std::strerror(errno)));
  std::unique_ptr<FolderLock> lock(new FolderLock(file));
  for (bool told = false; ::flock(file, LOCK_EX | LOCK_NB) != 0;) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return base::fail(Code::kIo, fmt::format("{}: lock: {}", path, std::strerror(errno)));
    }
    if (cancel.cancelled()) return base::fail(Code::kCancelled, "stopped while another pull was at work");
    if (!told && on_wait) on_wait();
    told = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return lock;
}

FolderLock::~FolderLock() { ::close(file_); }

base::Status check_room(const std::string& folder, uint64_t needed) {
  struct statvfs is{};
  if (::statvfs(folder.c_str(), &is) != 0) {
    return base::fail(Code::kIo, fmt::format("{}: {}", folder, std::strerror(errno)));
  }
  const uint64_t free = static_cast<uint64_t>(is.f_bavail) * is.f_frsize;
  if (free >= needed) return {};
  return base::fail(Code::kIo, fmt::format("{}: expected {:.0f} MB free, found {:.0f} MB. Make room, or choose another "
                                           "folder with --dir or CONCERTO_MODELS",
                                           folder, static_cast<double>(needed) / 1e6, static_cast<double>(free) / 1e6));
}

base::Result<bool> is_verified(const std::string& path, uint64_t size, const Checksum& checksum) {
  struct stat is{};
  if (::stat(path.c_str(), &is) != 0 || !S_ISREG(is.st_mode) || static_cast<uint64_t>(is.st_size) != size) return false;
  const auto stamp = stamp_of(path, checksum);
  if (stamp && read_small(path + ".verified") == *stamp) return true;
  Digest digest(checksum.kind, size);
  TRY_STATUS(digest_file(path, size, &digest));
  if (digest.finish() != checksum.hex) return false;
  set_verified(path, size, checksum);
  return true;
}

void set_verified(const std::string& path, uint64_t size, const Checksum& checksum) {
  const auto stamp = stamp_of(path, checksum);
  // A folder that cannot be written to costs the next check its time, nothing else.
  if (!stamp || size < kWorthRemembering) return;
  if (const auto wrote = write_small(path + ".verified", *stamp); !wrote) {
    base::log(base::LogLevel::kDebug, "{}", wrote.error().message);
  }
}

}  // namespace concerto::fetch
