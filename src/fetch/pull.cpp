#include "fetch/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "fetch/folder.h"
#include "fetch/pull_kinds.h"
#include "fetch/url.h"

namespace concerto::fetch {

using base::Code;

Meter::Meter(std::string name, uint64_t total, const PullOptions& options) : options_(options) {
  at_.name = std::move(name);
  at_.total = total;
}

Downloader::Tick Meter::from(uint64_t offset) {
  return [this, offset](uint64_t have, uint64_t total) { show(offset + have, at_.total != 0 ? at_.total : total); };
}

void Meter::show(uint64_t have, uint64_t total) {
  // What is in transit may be packed, or be thrown away: the count is kept from going back or too far.
  at_.have = std::max(at_.have, total == 0 ? have : std::min(have, total));
  if (!options_.on_progress) return;
  Progress now = at_;
  now.total = total;
  options_.on_progress(now);
}

base::Result<std::unique_ptr<FolderLock>> lock_folder(const PullOptions& options) {
  return FolderLock::take(options.folder, options.download.cancel, [&] {
    if (options.download.on_note) {
      options.download.on_note(fmt::format("{}: another pull is at work here; waiting for it", options.folder));
    }
  });
}

base::Result<Pulled> pull_url(const std::string& url, const PullOptions& options) {
  TRY(const std::string address, resolve_link(url, url));
  std::string file = file_name_of(address);
  if (options.name.empty() && !file.ends_with(".gguf")) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("{}: expected an address that ends in a name like model.gguf, "
                                  "found '{}'; --name gives it one",
                                  shown_url(address), file));
  }
  Pulled done;
  done.name = options.name.empty() ? file.substr(0, file.size() - 5) : options.name;
  done.path = options.folder + "/" + done.name + ".gguf";
  done.source = shown_url(address);
  done.published = !options.sha256.empty();
  TRY(const auto lock, lock_folder(options));
  std::error_code error;
  if (const uint64_t size = std::filesystem::file_size(done.path, error); !error) {
    const Checksum expected{ChecksumKind::kSha256, options.sha256};
    if (done.published) {
      TRY(const bool same, is_verified(done.path, size, expected));
      if (!same) {
        return base::fail(Code::kConflict, fmt::format("{}: expected the SHA-256 {}, found another file of that name; "
                                                       "remove it, or choose another --name",
                                                       done.path, options.sha256));
      }
      done.sha256 = options.sha256;
    }
    done.bytes = size;
    done.present = true;
    return done;
  }
  TRY(const auto downloader, Downloader::open(options.download));
  Meter meter(done.name, 0, options);
  Source source{address, {}, done.name, 0, {ChecksumKind::kSha256, options.sha256}, "GGUF"};
  TRY(const Download got, downloader->file(source, done.path, meter.from(0)));
  done.bytes = got.bytes;
  done.received = got.received;
  done.sha256 = got.hash;
  set_verified(done.path, got.bytes, {ChecksumKind::kSha256, got.hash});
  return done;
}

base::Result<Pulled> pull(const std::string& what, const PullOptions& options) {
  if (!options.name.empty() && !is_plain_name(options.name)) {
    return base::fail(Code::kInvalidArgument, fmt::format("--name: expected letters, digits, '.', '_', '-' and '+', "
                                                          "found '{}'",
                                                          options.name));
  }
  if (!options.sha256.empty() && !is_checksum(options.sha256, ChecksumKind::kSha256)) {
    return base::fail(Code::kInvalidArgument,
                      fmt::format("--sha256: expected 64 hexadecimal digits, found '{}'", options.sha256));
  }
  if (const KnownModel* known = find_known(what)) return pull_known(*known, options);
  if (what.starts_with("http://") || what.starts_with("https://")) return pull_url(what, options);
  if (is_hub_name(what)) return pull_hub(what, options);
  std::string names;
  for (const KnownModel& model : known_models()) names += (names.empty() ? "" : ", ") + std::string(model.name);
  return base::fail(Code::kNotFound,
                    fmt::format("{}: expected a known model ({}), ORG/REPO[:FILE] or an https address", what, names));
}

}  // namespace concerto::fetch
