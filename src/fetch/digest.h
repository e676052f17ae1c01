// Digest: the hash of bytes as they arrive. Checksum: what a source says they must hash to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace concerto::fetch {

enum class ChecksumKind {
  kSha256,
  kGitBlob,  // SHA-1 of "blob SIZE\0" and the bytes: what a hub gives for files that are in git itself
};

struct Checksum {
  ChecksumKind kind = ChecksumKind::kSha256;
  std::string hex;  // lower case; empty: nobody said
};

// "SHA-256", "git blob hash".
std::string_view checksum_name(ChecksumKind kind) noexcept;
// True for 64 (40 for a git blob) lower-case hexadecimal digits.
bool is_checksum(std::string_view hex, ChecksumKind kind) noexcept;

class Digest {
 public:
  // `size`: of the whole, which a git blob's hash begins with.
  explicit Digest(ChecksumKind kind = ChecksumKind::kSha256, uint64_t size = 0);
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void update(std::string_view bytes);
  // The hash of all so far, as lower-case hexadecimal digits. Nothing may follow.
  [[nodiscard]] std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Feeds the first `bytes` bytes of a file to a digest. kIo when there are fewer.
base::Status digest_file(const std::string& path, uint64_t bytes, Digest* digest);

}  // namespace concerto::fetch
