// What the tests of fetching share: a folder of their own, bytes to fetch, and wheels to hold them.
#pragma once

#include <minizip/zip.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fetch/digest.h"

namespace concerto::fetch {

class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "concerto_fetch_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_all(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline bool exists(const std::string& path) { return std::filesystem::exists(path); }

// Bytes that do not repeat, beginning with "GGUF".
inline std::string some_bytes(size_t size, uint32_t seed = 1) {
  std::string out = "GGUF";
  out.reserve(size);
  for (uint32_t state = seed; out.size() < size;) {
    state = state * 1664525 + 1013904223;
    out.push_back(static_cast<char>(state >> 24));
  }
  out.resize(size);
  return out;
}

inline std::string hash_of(const std::string& bytes, ChecksumKind kind = ChecksumKind::kSha256) {
  Digest digest(kind, bytes.size());
  digest.update(bytes);
  return digest.finish();
}

// A wheel with one member, stored (level 0) or deflated.
inline std::string make_wheel(const Scratch& scratch, const std::string& member, const std::string& bytes, int level) {
  const std::string path = scratch / "making.whl";
  const zipFile zip = zipOpen64(path.c_str(), APPEND_STATUS_CREATE);
  zipOpenNewFileInZip64(zip, "demo.dist-info/METADATA", nullptr, nullptr, 0, nullptr, 0, nullptr, Z_DEFLATED, 6, 0);
  zipWriteInFileInZip(zip, "Name: demo\n", 11);
  zipCloseFileInZip(zip);
  zipOpenNewFileInZip64(zip, member.c_str(), nullptr, nullptr, 0, nullptr, 0, nullptr, level == 0 ? 0 : Z_DEFLATED,
                        level, 0);
  zipWriteInFileInZip(zip, bytes.data(), static_cast<unsigned>(bytes.size()));
  zipCloseFileInZip(zip);
  zipClose(zip, nullptr);
  std::string out = read_all(path);
  std::filesystem::remove(path);
  return out;
}

}  // namespace concerto::fetch
