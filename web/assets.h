// The chat page's files as the program carries them: /index.html, /app.js, /app.css, /favicon.svg,
// /licenses.txt.
//
// A build with -DWEB=OFF carries none and returns an empty list; the server then has no pages. The views point into
// the program's own read-only data and are valid for its whole life. Any thread may call this.
#pragma once

#include "api/static_assets.h"

namespace concerto::web {

api::StaticAssets assets();

}  // namespace concerto::web
