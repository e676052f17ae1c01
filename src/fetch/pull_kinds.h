// The three ways of pull(), each for what it understands.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "fetch/download.h"
#include "fetch/known.h"
#include "fetch/pull.h"

namespace concerto::fetch {

base::Result<Pulled> pull_known(const KnownModel& model, const PullOptions& options);
// `what`: "ORG/REPO" or "ORG/REPO:WANTED".
base::Result<Pulled> pull_hub(const std::string& what, const PullOptions& options);
base::Result<Pulled> pull_url(const std::string& url, const PullOptions& options);

// True for "ORG/REPO" and "ORG/REPO:WANTED".
bool is_hub_name(const std::string& what);

// One bar for a model of several files.
class Meter {
 public:
  Meter(std::string name, uint64_t total, const PullOptions& options);
  // For a file whose bytes stand from `offset` on in the whole.
  Downloader::Tick from(uint64_t offset);
  void show(uint64_t have, uint64_t total);

 private:
  Progress at_;
  const PullOptions& options_;
};

// The folder's lock; a note when another process has it.
base::Result<std::unique_ptr<class FolderLock>> lock_folder(const PullOptions& options);

}  // namespace concerto::fetch
