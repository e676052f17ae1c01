// The table of verbs: a row each.
#include "app/verb.h"

namespace concerto::app {

std::vector<Verb> all_verbs() { return {init_verb(), doctor_verb(), version_verb()}; }

}  // namespace concerto::app
