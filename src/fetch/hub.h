// A hub in the manner of Hugging Face: what a repository holds, and which of it makes a model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fetch/download.h"

namespace concerto::fetch {

struct HubRepo {
  std::string endpoint;  // "https://host", without '/' at the end
  std::string id;        // "ORG/REPO"
  std::string revision;  // branch, tag or commit
  std::string token;     // sent to the endpoint only; may be empty
};

struct HubFile {
  std::string path;  // inside the repository, '/' between folders
  uint64_t size = 0;
  Checksum checksum;  // the SHA-256 of a large file, the git blob hash of a small one
};

// GET /api/models/ORG/REPO/tree/REVISION, all its pages.
base::Result<std::vector<HubFile>> list_repo(Downloader& downloader, const HubRepo& repo);
// One page of it. `name` stands for the page in errors.
base::Result<std::vector<HubFile>> read_tree(std::string_view text, const std::string& name);

struct HubChoice {
  bool folder = false;         // several files that make a Hugging Face folder; else one .gguf
  std::vector<HubFile> files;  // what to fetch, small files first
};

// `wanted`: a file's path, or a quantisation ("Q4_K_M", "q8_0"), or empty: the folder when the repository has
// safetensors, else its .gguf (of several the Q4_K_M). `name` stands for the repository in errors, which list what
// there is.
base::Result<HubChoice> choose_files(const std::vector<HubFile>& files, const std::string& wanted,
                                     const std::string& name);

// GET /ORG/REPO/resolve/REVISION/PATH.
Source source_of(const HubRepo& repo, const HubFile& file);

}  // namespace concerto::fetch
