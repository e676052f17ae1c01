// The files of the web pages as the program carries them. The views point into the program's own data.
#pragma once

#include <string_view>
#include <vector>

namespace concerto::api {

struct StaticAsset {
  std::string_view path;  // "/index.html", also served at "/"; "/app.js"
  std::string_view bytes;
  std::string_view gzip;          // the same, compressed; may be empty
  std::string_view content_type;  // "text/html; charset=utf-8"
  std::string_view etag;          // quoted, of the uncompressed bytes; may be empty
};

using StaticAssets = std::vector<StaticAsset>;

}  // namespace concerto::api
