// bench_with_peers(): the part of `concerto bench` that compares with other engines.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace concerto::app {

struct PeersArguments {
  std::optional<std::string> folder;
  std::string shapes = "quick";
  bool full = false;
  int pairs = 3;
  std::optional<std::string> out;
  bool markdown = false;
};

// Returns an ExitCode: kFailure when one of our own runs failed, whatever the peers did.
int bench_with_peers(const PeersArguments& arguments, const std::vector<std::string>& models, int threads, bool json);

}  // namespace concerto::app
