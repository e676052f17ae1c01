#include "fetch/wheel.h"

#include <fmt/format.h>
#include <minizip/unzip.h>

#include <memory>
#include <vector>

namespace concerto::fetch {
namespace {

using base::Code;

constexpr unsigned kBlock = 1U << 20;
constexpr int kCaseMatters = 1;

}  // namespace

base::Status read_member(const std::string& path, const std::string& member,
                         const std::function<base::Status(std::string_view)>& sink) {
  const std::unique_ptr<void, int (*)(unzFile)> zip(unzOpen64(path.c_str()), unzClose);
  if (zip == nullptr) return base::fail(Code::kCorrupt, fmt::format("{}: expected a zip file, found none", path));
  unz_file_info64 info{};
  if (unzLocateFile(zip.get(), member.c_str(), kCaseMatters) != UNZ_OK ||
      unzGetCurrentFileInfo64(zip.get(), &info, nullptr, 0, nullptr, 0, nullptr, 0) != UNZ_OK) {
    return base::fail(Code::kNotFound, fmt::format("{}: expected a member {}, found none", path, member));
  }
  const auto broken = [&](const std::string& what) {
    return base::fail(Code::kCorrupt, fmt::format("{}: {}: {}", path, member, what));
  };
  if (const int code = unzOpenCurrentFile(zip.get()); code != UNZ_OK) {
    return broken(fmt::format("expected a stored or deflated member, found another (minizip {})", code));
  }
  std::vector<char> block(kBlock);
  uint64_t total = 0;
  for (;;) {
    const int got = unzReadCurrentFile(zip.get(), block.data(), kBlock);
    if (got == 0) break;
    if (got < 0) return broken(fmt::format("broken after {} bytes (minizip {})", total, got));
    total += static_cast<uint64_t>(got);
    if (total > info.uncompressed_size) break;
    TRY_STATUS(sink({block.data(), static_cast<size_t>(got)}));
  }
  if (total != info.uncompressed_size) {
    return broken(fmt::format("expected {} bytes, found {}", info.uncompressed_size, total));
  }
  if (unzCloseCurrentFile(zip.get()) != UNZ_OK) return broken("the CRC does not match");
  return {};
}

}  // namespace concerto::fetch
