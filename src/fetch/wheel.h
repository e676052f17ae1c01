// A Python package's wheel, opened as the plain zip file that it is: nothing in it is run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace concerto::fetch {

// Hands one member (stored or deflated) to `sink` piece by piece, then checks its length and CRC. An error of the sink
// ends it. kNotFound: no such member; kCorrupt: no zip file, or broken.
base::Status read_member(const std::string& path, const std::string& member,
                         const std::function<base::Status(std::string_view)>& sink);

}  // namespace concerto::fetch
