#include "model/sidecar.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/tensor_type.h"
#include "kernels/kernels.h"
#include "model/sha256.h"

namespace concerto::model {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr size_t kHeader = 4096;
constexpr size_t kSamples = 1024;
constexpr size_t kSampleBytes = 64;
constexpr size_t kWriteBytes = size_t{16} << 20;

// Of evenly spread samples, both ends included: finds a file that was cut, overwritten or only partly copied, in a few
// milliseconds. No seal against somebody who means harm; such a one could write the model itself.
std::string checksum(std::span<const std::byte> bytes) {
  Sha256 hash;
  if (bytes.size() <= kSamples * kSampleBytes) {
    hash.add(bytes);
  } else {
    const size_t last = bytes.size() - kSampleBytes;
    for (size_t i = 0; i < kSamples; ++i) hash.add(bytes.subspan(last / (kSamples - 1) * i, kSampleBytes));
    hash.add(bytes.last(kSampleBytes));
  }
  return hash.finish();
}

std::string header_of(const SidecarKey& key, std::string_view sum) {
  std::string text = fmt::format("concerto packed weights 1\nweights {}\nlayout {}\nbytes {}\nsamples {}\n",
                                 key.weights, key.layout, key.bytes, sum);
  text.resize(kHeader, '\0');
  return text;
}

// "weights 0123…" of a header, for messages.
std::string line_of(std::string_view header, std::string_view name) {
  const size_t at = header.find(fmt::format("\n{} ", name));
  if (at == std::string_view::npos) return fmt::format("no {}", name);
  const size_t end = header.find('\n', at + 1);
  return std::string(header.substr(at + 1, std::min(end, at + 80) - at - 1));
}

bool write_all(int fd, const void* data, size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = ::write(fd, at, std::min(bytes, kWriteBytes));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    at += done;
    bytes -= static_cast<size_t>(done);
  }
  return true;
}

}  // namespace

std::string sidecar_path(const std::string& model_path, std::optional<base::TensorType> quantize_to) {
  std::error_code ignored;
  const std::string stem = std::filesystem::is_directory(model_path, ignored)
                               ? (std::filesystem::path(model_path) / "weights").string()
                               : model_path;
  return quantize_to ? fmt::format("{}.{}.packed", stem, base::geometry(*quantize_to).name) : stem + ".packed";
}

std::string layout_fingerprint() {
  // A panel of every type, of rows whose bytes all differ, says where each of them goes. 288 columns: a short last
  // block where the type has such.
  Sha256 hash;
  for (const auto& geometry : base::kTensorGeometries) {
    const int cols = geometry.block_weights == 256 ? 256 : 288;
    std::vector<std::byte> rows(static_cast<size_t>(kernels::kPanelRows) * static_cast<size_t>(cols) /
                                geometry.block_weights * geometry.block_bytes);
    uint32_t state = 1;
    for (auto& byte : rows) byte = static_cast<std::byte>((state = state * 1664525U + 1013904223U) >> 24);
    std::vector<std::byte> packed(kernels::packed_bytes(geometry.type, kernels::kPanelRows, cols));
    kernels::pack(geometry.type, kernels::kPanelRows, cols, rows.data(), 0, 1, packed.data());
    hash.add(packed);
  }
  return hash.finish();
}

std::span<const std::byte> sidecar_arena(const formats::MappedFile& sidecar) {
  return sidecar.bytes().subspan(kHeader);
}

Result<std::unique_ptr<formats::MappedFile>> map_sidecar(const std::string& path, const SidecarKey& key) {
  TRY(auto file, formats::MappedFile::open(path));
  const auto bytes = file->bytes();
  const auto wrong = [&](const std::string& expected, const std::string& found) {
    return base::fail(Code::kCorrupt, fmt::format("{}: expected {}, found {}", path, expected, found));
  };
  if (bytes.size() != kHeader + key.bytes)
    return wrong(fmt::format("{} bytes", kHeader + key.bytes), std::to_string(bytes.size()));
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()), kHeader);
  const std::string expected = header_of(key, checksum(bytes.subspan(kHeader)));
  for (const std::string_view name : {"weights", "layout", "bytes", "samples"}) {
    const std::string wanted = line_of(expected, name);
    if (const std::string found = line_of(header, name); found != wanted) return wrong(wanted, found);
  }
  if (header != expected) return wrong("a file that concerto pack has written", "another header");
  return file;
}

Status write_sidecar(const std::string& path, const SidecarKey& key, std::span<const std::byte> arena) {
  CHECK(arena.size() == key.bytes);
  const std::string part = fmt::format("{}.{}.incomplete", path, ::getpid());
  const auto failed = [&](std::string_view doing, int error) {
    ::unlink(part.c_str());
    return base::fail(Code::kIo, fmt::format("{}: cannot {}: {}", path, doing, std::strerror(error)));
  };
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failed("create", errno);
  const std::string header = header_of(key, checksum(arena));
  // Asking for the room first: a full disk is known before a gigabyte is written.
  int error = ::posix_fallocate(fd, 0, static_cast<off_t>(kHeader + arena.size()));
  if (error == EOPNOTSUPP || error == EINVAL) error = 0;
  if (error == 0 &&
      !(write_all(fd, header.data(), header.size()) && write_all(fd, arena.data(), arena.size()) && ::fsync(fd) == 0))
    error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error != 0) return failed("write", error);
  if (::rename(part.c_str(), path.c_str()) != 0) return failed("rename", errno);
  return {};
}

}  // namespace concerto::model
