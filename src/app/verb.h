// Verb: one subcommand of the program. A file in verbs/ and a row in all_verbs() each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/flags.h"

namespace concerto::app {

// What the program returns. A usage error is one that --help would have prevented.
enum ExitCode : int { kOk = 0, kFailure = 1, kUsage = 2 };

struct Verb {
  const char* name;
  const char* help;  // one line
  std::function<void(Flags&)> declare;
  std::function<int()> run;  // after the parse; returns an ExitCode
};

// In the order of --help.
std::vector<Verb> all_verbs();

// Parses the command line and runs its verb.
int run_program(int argc, const char* const* argv, const std::vector<Verb>& verbs);

Verb serve_verb();
Verb run_verb();
Verb pull_verb();
Verb cases_verb();
Verb init_verb();
Verb doctor_verb();
Verb bench_verb();
Verb pack_verb();
Verb ppl_verb();
Verb tokenize_verb();
Verb version_verb();

}  // namespace concerto::app
