#include "fetch/digest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace concerto::fetch {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

}  // namespace

struct Digest::Context {
  EVP_MD_CTX* md = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(md); }
};

std::string_view checksum_name(ChecksumKind kind) noexcept {
  return kind == ChecksumKind::kSha256 ? "SHA-256" : "git blob hash";
}

bool is_checksum(std::string_view hex, ChecksumKind kind) noexcept {
  return hex.size() == (kind == ChecksumKind::kSha256 ? 64U : 40U) &&
         hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Digest::Digest(ChecksumKind kind, uint64_t size) : context_(std::make_unique<Context>()) {
  CHECK(context_->md != nullptr);
  CHECK(EVP_DigestInit_ex(context_->md, kind == ChecksumKind::kSha256 ? EVP_sha256() : EVP_sha1(), nullptr) == 1);
  if (kind == ChecksumKind::kGitBlob) update(fmt::format("blob {}", size) + '\0');
}

Digest::~Digest() = default;

void Digest::update(std::string_view bytes) { CHECK(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()) == 1); }

std::string Digest::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  CHECK(EVP_DigestFinal_ex(context_->md, digest, &length) == 1);
  return fmt::format("{:02x}", fmt::join(digest, digest + length, ""));
}

base::Status digest_file(const std::string& path, uint64_t bytes, Digest* digest) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return base::fail(base::Code::kIo, fmt::format("{}: {}", path, std::strerror(errno)));
  std::vector<char> block(std::min<uint64_t>(kBlock, std::max<uint64_t>(bytes, 1)));
  uint64_t left = bytes;
  while (left > 0) {
    const ssize_t got = ::read(file, block.data(), std::min<uint64_t>(block.size(), left));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      const std::string why = got < 0 ? std::strerror(errno) : fmt::format("found {} fewer", left);
      ::close(file);
      return base::fail(base::Code::kIo, fmt::format("{}: expected {} bytes: {}", path, bytes, why));
    }
    digest->update({block.data(), static_cast<size_t>(got)});
    left -= static_cast<uint64_t>(got);
  }
  ::close(file);
  return {};
}

}  // namespace concerto::fetch
