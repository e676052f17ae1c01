// Reading the JSON files of a model folder: size and nesting are bounded before anything is built from them.
// Only .cpp files of text/ include this: it pulls in nlohmann-json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace concerto::text {

// The whole file. kNotFound when it doesn't exist, kIo when it can't be read, kTooLarge past `max_bytes`.
base::Result<std::string> read_file(const std::string& path, size_t max_bytes = size_t{256} << 20);

// Parses `text`; `where` names the file. kCorrupt when it isn't JSON or nests deeper than 64.
base::Result<nlohmann::json> parse_json(std::string_view text, const std::string& where);

base::Result<nlohmann::json> read_json_file(const std::string& path);

}  // namespace concerto::text
