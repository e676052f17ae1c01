// run_child(): a program, run to its end, with what it printed and what it used.
#pragma once

#include <string>
#include <vector>

#include "base/cancel_token.h"
#include "base/result.h"

namespace concerto::eval {

struct ChildRun {
  int exit_code = 0;  // 128 + the signal when one ended it
  std::string out;    // the first megabyte
  std::string err;    // the last 64 KiB
  double seconds = 0;
  double peak_resident_bytes = 0;
};

// argv[0] is a path or a name to be looked up in PATH; stdin is empty; `folder` becomes its working folder (programs
// leave logs there), "" keeps ours. `environment`: "NAME=value", in addition to ours.
// kIo: it can't be started; kTimeout: it was killed after `seconds_allowed`. A server ends when `stop` is cancelled: it
// is asked to (SIGTERM), and killed when it does not within some seconds.
base::Result<ChildRun> run_child(const std::vector<std::string>& argv, const std::string& folder,
                                 const std::vector<std::string>& environment, double seconds_allowed,
                                 const base::CancelToken* stop = nullptr);

// The last `count` lines that hold something, each cut to 200 bytes.
std::string last_lines(const std::string& text, int count);

// Of a program that failed: its first lines that speak of an error or an assertion (a stack trace may follow those);
// the last lines when none does.
std::string telling_lines(const std::string& text, int count);

// For people: the arguments as a shell would take them.
std::string shell_words(const std::vector<std::string>& argv);

}  // namespace concerto::eval
