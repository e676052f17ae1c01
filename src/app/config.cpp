#include "app/config.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/paths.h"
#include "app/terminal.h"

namespace concerto::app {
namespace {

using base::Code;
using base::fail;

constexpr uintmax_t kMaxConfigBytes = uintmax_t{1} << 20;

template <class T>
base::Status number_from(const char* variable, T low, T high, std::optional<T>* out) {
  const std::string text = environment(variable);
  if (out->has_value() || text.empty()) return {};
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= low && value <= high)) {
    return fail(Code::kInvalidArgument,
                fmt::format("environment {}: expected a number from {} to {}, found '{}'", variable, low, high, text));
  }
  *out = value;
  return {};
}

void text_from(const char* variable, std::optional<std::string>* out) {
  std::string text = environment(variable);
  if (!out->has_value() && !text.empty()) *out = std::move(text);
}

base::Result<std::string> read_small_file(const std::string& path, uintmax_t limit) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    const bool missing = error == std::errc::no_such_file_or_directory;
    return fail(missing ? Code::kNotFound : Code::kIo,
                fmt::format("{}: expected a readable file, found: {}", path, error.message()));
  }
  if (size > limit) {
    return fail(Code::kTooLarge, fmt::format("{}: expected at most {} bytes, found {}", path, limit, size));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof()) return fail(Code::kIo, fmt::format("{}: expected a readable file", path));
  return text;
}

}  // namespace

std::string_view kind_name(TierKind kind) noexcept {
  switch (kind) {
    case TierKind::kLocal:
      return "local";
    case TierKind::kUpstream:
      return "upstream";
    case TierKind::kPeople:
      return "people";
  }
  return "";
}

base::Result<Overrides> with_environment(Overrides flags) {
  text_from("CONCERTO_CONFIG", &flags.config);
  text_from("CONCERTO_BIND", &flags.bind);
  TRY_STATUS(number_from("CONCERTO_PORT", 0, 65535, &flags.port));
  TRY_STATUS(number_from("CONCERTO_THRESHOLD", 0.0, 1.0, &flags.threshold));
  TRY_STATUS(number_from("CONCERTO_THREADS", 1, 1024, &flags.threads));
  TRY_STATUS(number_from("CONCERTO_MEMORY_MB", 1, kMaxMemoryMb, &flags.memory_mb));
  TRY_STATUS(number_from("CONCERTO_ITL_TARGET_MS", kMinItlTargetMs, kMaxItlTargetMs, &flags.itl_target));
  return flags;
}

base::Result<std::string> find_config(const Overrides& overrides) {
  if (overrides.config) return resolve_path(*overrides.config, ".");
  const std::string own = config_folder() + "/concerto.toml";
  std::error_code ignored;
  for (const std::string& path : {std::string("concerto.toml"), own}) {
    if (std::filesystem::exists(path, ignored)) return path;
  }
  return fail(
      Code::kNotFound,
      fmt::format("concerto.toml: expected in this folder or at {}, found neither; `concerto init` writes one", own));
}

base::Result<Config> load_config(const Overrides& flags) {
  TRY(const Overrides overrides, with_environment(flags));
  TRY(const std::string file, find_config(overrides));
  TRY(const std::string text, read_small_file(file, kMaxConfigBytes));
  TRY(Config config, parse_config(text, file));
  if (overrides.bind) config.server.bind = *overrides.bind;
  if (overrides.port) config.server.port = *overrides.port;
  if (overrides.threshold) config.cascade.threshold = *overrides.threshold;
  if (overrides.memory_mb) config.server.memory_mb = *overrides.memory_mb;
  for (TierConfig& tier : config.tiers) {
    if (tier.kind != TierKind::kLocal) continue;
    if (overrides.threads) tier.threads = *overrides.threads;
    if (overrides.speculation) tier.speculation = *overrides.speculation;
    if (overrides.itl_target) tier.itl_target_ms = *overrides.itl_target;
  }
  return config;
}

base::Result<std::vector<std::string>> read_keys(const std::string& path, const char* environment_name) {
  std::vector<std::string> keys;
  if (std::string key = environment(environment_name); !key.empty()) keys.push_back(std::move(key));
  if (path.empty()) return keys;
  TRY(const std::string text, read_small_file(path, kMaxConfigBytes));
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077U) != 0) {
    print_note(
        fmt::format("{}: other users may read these keys (mode {:o}); `chmod 600` it", path, info.st_mode & 0777U));
  }
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line(text.data() + at, end - at);
    at = end + 1;
    line = line.substr(0, line.find('#'));
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) line.remove_suffix(1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (!line.empty()) keys.emplace_back(line);
  }
  return keys;
}

}  // namespace concerto::app
