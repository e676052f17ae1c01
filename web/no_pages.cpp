// What -DWEB=OFF links instead of the pages.
#include "web/assets.h"

namespace concerto::web {

api::StaticAssets assets() { return {}; }

}  // namespace concerto::web
