// The table of verbs: a row each.
#include "app/verb.h"

namespace concerto::app {

std::vector<Verb> all_verbs() {
  return {serve_verb(),  run_verb(),   pull_verb(), pack_verb(),     cases_verb(),  init_verb(),
          doctor_verb(), bench_verb(), ppl_verb(),  tokenize_verb(), version_verb()};
}

}  // namespace concerto::app
