// Models of a hub: one .gguf, or a folder that gets its name when all its files are whole.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "fetch/folder.h"
#include "fetch/hub.h"
#include "fetch/pull_kinds.h"
#include "fetch/url.h"

namespace concerto::fetch {
namespace {

namespace fs = std::filesystem;
using base::Code;

constexpr uint64_t kSpareRoom = 16'000'000;  // notes, and what a file system keeps for itself

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

uint64_t size_of(const std::string& path) {
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

tl::unexpected<base::Error> differs(const std::string& path, const HubRepo& repo) {
  return base::fail(Code::kConflict, fmt::format("{}: expected what {} ({}) holds, found something else of that name; "
                                                 "remove it, or choose another --name",
                                                 path, repo.id, repo.revision));
}

base::Result<Pulled> pull_file(const HubRepo& repo, const HubFile& file, const PullOptions& options, Downloader& from) {
  Pulled done;
  const std::string_view name = base_name(file.path);
  done.name = options.name.empty() ? std::string(name.substr(0, name.rfind('.'))) : options.name;
  if (!is_plain_name(done.name)) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("{}: {}: expected a plain name, found another; give one with --name", repo.id, name));
  }
  done.path = options.folder + "/" + done.name + ".gguf";
  const Source source = source_of(repo, file);
  done.source = shown_url(source.url);
  done.bytes = file.size;
  done.published = true;
  if (file.checksum.kind == ChecksumKind::kSha256) done.sha256 = file.checksum.hex;
  TRY(done.present, is_verified(done.path, file.size, file.checksum));
  if (done.present) return done;
  if (fs::exists(done.path)) return differs(done.path, repo);
  TRY_STATUS(
      check_room(options.folder, file.size - std::min(file.size, size_of(done.path + ".incomplete")) + kSpareRoom));
  Meter meter(done.name, file.size, options);
  TRY(const Download got, from.file(source, done.path, meter.from(0)));
  done.received = got.received;
  set_verified(done.path, file.size, file.checksum);
  return done;
}

// What another revision has left there would become part of the model.
void remove_strangers(const std::string& folder, const std::vector<HubFile>& files) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool known = std::any_of(files.begin(), files.end(), [&](const HubFile& file) {
      return name == file.path || (name.starts_with(file.path + ".") && !name.ends_with(".safetensors"));
    });
    std::error_code ignored;
    if (!known) fs::remove(entry.path(), ignored);
  }
}

base::Result<Pulled> pull_folder(const HubRepo& repo, const std::vector<HubFile>& files, const PullOptions& options,
                                 Downloader& from) {
  Pulled done;
  done.name = options.name.empty() ? std::string(base_name(repo.id)) : options.name;
  done.path = options.folder + "/" + done.name;
  done.source = shown_url(fmt::format("{}/{}", repo.endpoint, repo.id));
  done.published = true;
  for (const HubFile& file : files) done.bytes += file.size;
  if (fs::exists(done.path)) {
    for (const HubFile& file : files) {
      TRY(const bool same, is_verified(done.path + "/" + file.path, file.size, file.checksum));
      if (!same) return differs(done.path + "/" + file.path, repo);
    }
    done.present = true;
    return done;
  }
  const std::string unfinished = done.path + ".incomplete";
  std::error_code error;
  fs::create_directories(unfinished, error);
  if (error) return base::fail(Code::kIo, fmt::format("{}: {}", unfinished, error.message()));
  remove_strangers(unfinished, files);
  uint64_t missing = kSpareRoom;
  for (const HubFile& file : files) {
    const std::string path = unfinished + "/" + file.path;
    missing += file.size - std::min(file.size, std::max(size_of(path), size_of(path + ".incomplete")));
  }
  TRY_STATUS(check_room(options.folder, missing));
  Meter meter(done.name, done.bytes, options);
  uint64_t offset = 0;
  for (const HubFile& file : files) {
    const std::string path = unfinished + "/" + file.path;
    TRY(const bool there, is_verified(path, file.size, file.checksum));
    if (!there) {
      Source source = source_of(repo, file);
      source.name = done.name + "/" + file.path;
      TRY(const Download got, from.file(source, path, meter.from(offset)));
      done.received += got.received;
      set_verified(path, file.size, file.checksum);
    }
    offset += file.size;
    meter.show(offset, done.bytes);
  }
  fs::rename(unfinished, done.path, error);
  if (error) return base::fail(Code::kIo, fmt::format("{}: {}", done.path, error.message()));
  return done;
}

}  // namespace

bool is_hub_name(const std::string& what) {
  const std::string id = what.substr(0, what.find(':'));
  const size_t slash = id.find('/');
  return slash != std::string::npos && is_plain_name(id.substr(0, slash)) && is_plain_name(id.substr(slash + 1));
}

base::Result<Pulled> pull_hub(const std::string& what, const PullOptions& options) {
  const size_t colon = what.find(':');
  const std::string wanted = colon == std::string::npos ? "" : what.substr(colon + 1);
  HubRepo repo{options.endpoint, what.substr(0, colon), options.revision, options.token};
  while (repo.endpoint.ends_with('/')) repo.endpoint.pop_back();
  TRY_STATUS(resolve_link(repo.endpoint, repo.endpoint));
  TRY(const auto lock, lock_folder(options));
  TRY(const auto downloader, Downloader::open(options.download));
  TRY(const auto files, list_repo(*downloader, repo));
  TRY(const HubChoice choice, choose_files(files, wanted, repo.id));
  if (choice.folder) return pull_folder(repo, choice.files, options, *downloader);
  return pull_file(repo, choice.files[0], options, *downloader);
}

}  // namespace concerto::fetch
