// concerto version.
#include <fmt/format.h>

#include "app/terminal.h"
#include "app/verb.h"

namespace concerto::app {

Verb version_verb() {
  return {"version", "Print the version", [](Flags&) {},
          [] { return write_out(fmt::format("concerto {}\n", CONCERTO_VERSION)) ? kOk : kFailure; }};
}

}  // namespace concerto::app
