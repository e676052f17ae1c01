#include "fetch/partial_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

namespace concerto::fetch {
namespace {

tl::unexpected<base::Error> os_error(const std::string& path, const char* what) {
  return base::fail(base::Code::kIo, fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

base::Status write_all(int file, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(file, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return os_error(path, "write");
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

}  // namespace

std::string read_small(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

base::Status write_small(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return os_error(fresh, "open");
  const auto wrote = write_all(file, fresh, text);
  ::close(file);
  TRY_STATUS(wrote);
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return os_error(path, "rename");
  return {};
}

PartialFile::PartialFile(std::string path, std::string identity, ChecksumKind kind, uint64_t size)
    : path_(std::move(path)),
      incomplete_(path_ + ".incomplete"),
      note_(incomplete_ + ".from"),
      identity_(std::move(identity)),
      kind_(kind),
      size_(size) {}

PartialFile::~PartialFile() {
  if (file_ >= 0) ::close(file_);
}

base::Result<std::unique_ptr<PartialFile>> PartialFile::open(const std::string& path, const std::string& identity,
                                                             ChecksumKind kind, uint64_t size) {
  std::unique_ptr<PartialFile> part(new PartialFile(path, identity, kind, size));
  part->file_ = ::open(part->incomplete_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (part->file_ < 0) return os_error(part->incomplete_, "open");
  struct stat is{};
  if (::fstat(part->file_, &is) != 0) return os_error(part->incomplete_, "stat");
  const std::string note = read_small(part->note_);
  const size_t line = note.find('\n');
  if (is.st_size > 0 && line != std::string::npos && note.substr(0, line) == identity) {
    part->have_ = static_cast<uint64_t>(is.st_size);
    part->tag_ = note.substr(line + 1);
    part->digest_ = std::make_unique<Digest>(kind, size);
    TRY_STATUS(digest_file(part->incomplete_, part->have_, part->digest_.get()));
    if (::lseek(part->file_, 0, SEEK_END) < 0) return os_error(part->incomplete_, "seek");
  } else {
    TRY_STATUS(part->restart());
  }
  return part;
}

base::Status PartialFile::append(std::string_view bytes) {
  TRY_STATUS(write_all(file_, incomplete_, bytes));
  digest_->update(bytes);
  have_ += bytes.size();
  return {};
}

base::Status PartialFile::restart() {
  if (::ftruncate(file_, 0) != 0 || ::lseek(file_, 0, SEEK_SET) < 0) return os_error(incomplete_, "truncate");
  have_ = 0;
  tag_.clear();
  digest_ = std::make_unique<Digest>(kind_, size_);
  return write_note();
}

base::Status PartialFile::set_tag(const std::string& tag) {
  tag_ = tag;
  return write_note();
}

base::Status PartialFile::write_note() const { return write_small(note_, identity_ + "\n" + tag_); }

base::Status PartialFile::commit() {
  if (::fsync(file_) != 0) return os_error(incomplete_, "sync");
  if (std::rename(incomplete_.c_str(), path_.c_str()) != 0) return os_error(path_, "rename");
  ::unlink(note_.c_str());
  return {};
}

void PartialFile::remove() {
  ::unlink(incomplete_.c_str());
  ::unlink(note_.c_str());
}

}  // namespace concerto::fetch
