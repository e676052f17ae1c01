#include "text/json_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace concerto::text {
namespace {

using base::Code;
using base::Result;

constexpr int kMaxDepth = 64;  // tokenizer.json nests about 8 deep

int depth_of(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

struct Close {
  void operator()(std::FILE* f) const { std::fclose(f); }
};

}  // namespace

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (!file) {
    const int error = errno;
    return base::fail(error == ENOENT || error == ENOTDIR ? Code::kNotFound : Code::kIo,
                      fmt::format("{}: {}", path, std::strerror(error)));
  }
  std::string text;
  char block[1 << 16];
  for (size_t n = 0; (n = std::fread(block, 1, sizeof block, file.get())) > 0;) {
    if (text.size() + n > max_bytes) {
      return base::fail(Code::kTooLarge, fmt::format("{}: expected at most {} bytes", path, max_bytes));
    }
    text.append(block, n);
  }
  if (std::ferror(file.get()) != 0) return base::fail(Code::kIo, fmt::format("{}: {}", path, std::strerror(errno)));
  return text;
}

Result<nlohmann::json> parse_json(std::string_view text, const std::string& where) {
  if (const int depth = depth_of(text); depth > kMaxDepth) {
    return base::fail(Code::kCorrupt,
                      fmt::format("{}: expected at most {} levels of nesting, found {}", where, kMaxDepth, depth));
  }
  nlohmann::json value = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return base::fail(Code::kCorrupt, fmt::format("{}: expected JSON, found none", where));
  return value;
}

Result<nlohmann::json> read_json_file(const std::string& path) {
  TRY(const std::string text, read_file(path));
  return parse_json(text, path);
}

}  // namespace concerto::text
