// compare_with_peers(): ours and the peers, as child processes in turn, on the same files and shapes.
//
// For each shape and pair, ours runs right beside each peer (before it in even pairs, after it in odd ones), so that a
// machine whose speed drifts is fair to both; the ceilings are probed once a pair, in between. A peer that is missing
// or fails is named and left out, and the rest goes on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "eval/bench/results.h"

namespace concerto::eval {

struct Progress {
  std::string what;  // "qwen…, prefill-512, pair 1 of 3, llama.cpp --repack 1"
  double fraction = 0;
  double seconds_left = 0;  // a guess; 0: not known yet
};

struct ComparisonOptions {
  std::vector<std::string> models;  // .gguf files: what the peers read too
  std::string peers;                // the folder of the peers' folders
  std::string program;              // our own executable
  std::vector<Shape> shapes;
  int pairs = 3;
  int threads = 0;                                // 0: all cores; the same for all
  double child_seconds = 1800;                    // a run that takes longer has failed
  std::string version;                            // of ours, for the record
  std::string command;                            // what was asked, for the record
  std::function<void(const Progress&)> progress;  // may be empty
  // After each shape of each model: what there is so far. May be empty.
  std::function<void(const Results&)> finished_shape;
  // What an interrupted run of the same comparison left (continues()): its finished shapes are not measured again.
  const Results* earlier = nullptr;
};

// Fails only for models that can't be read; ours that fails has a Column::failure, as a peer has.
base::Result<Results> compare_with_peers(const ComparisonOptions& options);

// True when `earlier` was interrupted, and measured by the same program, on the same machine, in the same way.
bool continues(const Results& earlier, const ComparisonOptions& options);

// True when some run of ours failed.
bool ours_failed(const Results& results);

}  // namespace concerto::eval
