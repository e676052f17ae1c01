// Where a Python package's wheel is: the simple repository API, as JSON (PEP 691, 700) or as HTML (PEP 503).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fetch/download.h"

namespace concerto::fetch {

struct PackageFile {
  std::string name;  // "demo_part1-1.0-py3-none-any.whl"
  std::string url;   // as written: may be relative to the page
  std::string sha256;
  uint64_t size = 0;  // 0: not said
};

// The files that a page of an index lists. `name` stands for the page in errors.
base::Result<std::vector<PackageFile>> read_index_json(std::string_view text, const std::string& name);
std::vector<PackageFile> read_index_html(std::string_view text);

// "Demo.Part_1" -> "demo-part-1" (PEP 503).
std::string normalized_package(std::string_view name);

// Asks the indexes in order for the wheel of that very version. kNotFound names what there is.
base::Result<Source> find_wheel(Downloader& downloader, const std::vector<std::string>& indexes,
                                const std::string& package, const std::string& version);

}  // namespace concerto::fetch
