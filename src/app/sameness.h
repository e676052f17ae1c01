// check_sameness(): the promise that the same request gives the same bytes, tried on this machine with a real model.
//
// A few different requests (Chinese, English, code; greedy and sampled; with penalties; some with a common beginning)
// are answered once by one thread, alone, without any cache. Then `requests` requests are sent to real servers on
// loopback, in every setting: instruction set x threads x prefix cache x speculation, 1 to 8 at once, streamed or not.
// Text, finish reason, log-probabilities of tokens and alternatives, and confidence must be the same, byte for byte.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace concerto::app {

struct SamenessOptions {
  std::string model;                                                   // a .gguf file or a folder
  int requests = 1000;                                                 // few ones are tried in a sample of the settings
  std::function<void(int done, const std::string& setting)> progress;  // may be empty
};

struct SamenessReport {
  int requests = 0;
  int same = 0;
  int different_prompts = 0;
  int settings = 0;                      // of the engine
  std::vector<std::string> differences;  // the first few: setting, request, what was expected and found
};

base::Result<SamenessReport> check_sameness(const SamenessOptions& options);

}  // namespace concerto::app
