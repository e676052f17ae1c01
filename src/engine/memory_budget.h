// How much memory this process may still use: the machine's, and the limits of its control groups.
#pragma once

#include <cstddef>
#include <string>

namespace concerto::engine {

// The smallest of: MemAvailable of /proc/meminfo; limit - use (plus reclaimable file cache) of each cgroup v2 from this
// process's up to the root, or of the v1 memory controller; RLIMIT_AS - size. 0 when nothing could be read.
size_t available_memory();

// As above, from files below `root` instead of "/" (tests).
size_t available_memory_below(const std::string& root);

}  // namespace concerto::engine
