#include "engine/memory_budget.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace concerto::engine {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  if (!(in >> word)) return std::nullopt;
  if (word == "max") return kUnlimited;
  uint64_t value = 0;
  std::istringstream number(word);
  if (!(number >> value)) return std::nullopt;
  return value;
}

// "name value" lines of memory.stat; 0 when absent.
uint64_t read_stat(const std::string& path, const std::string& name) {
  std::ifstream in(path);
  std::string key;
  uint64_t value = 0;
  while (in >> key >> value) {
    if (key == name) return value;
  }
  return 0;
}

uint64_t mem_available(const std::string& root) {
  std::ifstream in(root + "proc/meminfo");
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string key;
    uint64_t kib = 0;
    if (words >> key >> kib && key == "MemAvailable:") return kib * 1024;
  }
  return kUnlimited;
}

// What a group may still take. File cache that the kernel would drop first is not "used" (the model file's pages).
uint64_t group_left(const std::string& limit_file, const std::string& use_file, const std::string& stat_file) {
  const auto limit = read_number(limit_file);
  const auto use = read_number(use_file);
  if (!limit || !use || *limit == kUnlimited) return kUnlimited;
  const uint64_t reclaimable = read_stat(stat_file, "inactive_file");
  const uint64_t held = *use > reclaimable ? *use - reclaimable : 0;
  return *limit > held ? *limit - held : 0;
}

uint64_t cgroups_left(const std::string& root) {
  uint64_t left = kUnlimited;
  std::ifstream in(root + "proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers != "memory") continue;
    std::string group = line.substr(second + 1);
    // Each ancestor limits too; inside a container the path may be invisible, then only the mount's root answers.
    for (;;) {
      const std::string dir = fmt::format("{}sys/fs/cgroup{}{}/", root, v2 ? "" : "/memory", group);
      left = std::min(
          left, v2 ? group_left(dir + "memory.max", dir + "memory.current", dir + "memory.stat")
                   : group_left(dir + "memory.limit_in_bytes", dir + "memory.usage_in_bytes", dir + "memory.stat"));
      const size_t slash = group.rfind('/');
      if (group.empty() || slash == std::string::npos) break;
      group.resize(slash);
    }
  }
  return left;
}

}  // namespace

size_t available_memory_below(const std::string& root) {
  const uint64_t left = std::min(mem_available(root), cgroups_left(root));
  return left == kUnlimited ? 0 : left;
}

size_t available_memory() {
  uint64_t left = available_memory_below("/");
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    std::ifstream in("/proc/self/statm");
    uint64_t pages = 0;
    in >> pages;
    const uint64_t held = pages * 4096;
    const uint64_t room = limit.rlim_cur > held ? limit.rlim_cur - held : 0;
    left = left == 0 ? room : std::min(left, room);
  }
  return left;
}

}  // namespace concerto::engine
