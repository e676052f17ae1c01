#include "fetch/download.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>

#include "fetch/get.h"
#include "fetch/partial_file.h"
#include "fetch/url.h"

namespace concerto::fetch {
namespace {

using base::Code;

constexpr int kMaxWaitMs = 30'000;
constexpr size_t kMaxPageBytes = size_t{64} << 20;

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "bytes 100-199/1000" (RFC 9110, section 14.4).
struct ContentRange {
  uint64_t first = 0;
  uint64_t total = 0;  // 0: "*"
};
std::optional<ContentRange> content_range(std::string_view text) {
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (!text.starts_with("bytes ") || dash == std::string_view::npos || slash == std::string_view::npos) return {};
  const auto first = number_of(text.substr(6, dash - 6));
  const auto total = number_of(text.substr(slash + 1));
  if (!first) return {};
  return ContentRange{*first, total.value_or(0)};
}

// An address may hold a secret, which belongs in no file.
std::string sha256_of(std::string_view text) {
  Digest digest;
  digest.update(text);
  return digest.finish();
}

// The N of a 416's "bytes */N".
uint64_t unsatisfied_total(const net::HttpHeaders& headers) {
  const std::string* field = headers.find("Content-Range");
  if (field == nullptr || !field->starts_with("bytes */")) return 0;
  return number_of(std::string_view(*field).substr(8)).value_or(0);
}

// A strong validator, which a range may be asked for by.
std::string strong_tag(const net::HttpHeaders& headers) {
  const std::string* tag = headers.find("ETag");
  return tag != nullptr && tag->starts_with('"') && tag->find('\n') == std::string::npos ? *tag : std::string();
}

// One attempt: what the response's head means for the bytes that are there, and the bytes that follow.
class Attempt {
 public:
  Attempt(const Source& source, PartialFile* part, const Downloader::Tick& tick)
      : source_(source), part_(part), tick_(tick), total_(source.size) {}

  // An error ends the attempt, not always the download.
  base::Status on_head(const net::ClientHead& head) {
    status_ = head.status;
    if (status_ == 200) return whole(head.headers);
    if (status_ == 206) return rest(head.headers);
    return {};
  }

  base::Status on_body(std::string_view bytes) {
    if (status_ != 200 && status_ != 206) return {};
    if (total_ != 0 && bytes.size() > total_ - part_->have()) {
      return fail(fmt::format("{} bytes", total_), "more");
    }
    if (const auto begin = bytes.substr(0, source_.magic.size());
        part_->have() == 0 && begin != std::string_view(source_.magic).substr(0, begin.size())) {
      return fail(fmt::format("a file that begins with {}", source_.magic), fmt::format("'{}'", shown_url(begin)));
    }
    TRY_STATUS(part_->append(bytes));
    received_ += bytes.size();
    if (tick_) tick_(part_->have(), total_);
    return {};
  }

  [[nodiscard]] uint64_t received() const noexcept { return received_; }
  [[nodiscard]] uint64_t total() const noexcept { return total_; }

 private:
  base::Status whole(const net::HttpHeaders& headers) {
    if (const std::string* length = headers.find("Content-Length")) TRY_STATUS(check_total(number_of(*length)));
    if (part_->have() > 0) TRY_STATUS(part_->restart());  // no ranges here, or the file has changed
    return part_->set_tag(strong_tag(headers));
  }

  base::Status rest(const net::HttpHeaders& headers) {
    const std::string* field = headers.find("Content-Range");
    const auto range = field == nullptr ? std::nullopt : content_range(*field);
    if (!range || range->first != part_->have()) {
      return fail(fmt::format("a range from byte {}", part_->have()),
                  field == nullptr ? "no Content-Range" : fmt::format("'{}'", field->substr(0, 100)));
    }
    const std::string tag = strong_tag(headers);
    if (source_.checksum.hex.empty() && !tag.empty() && tag != part_->tag()) {  // If-Range was not understood
      TRY_STATUS(part_->restart());
      return base::fail(Code::kUpstream, fmt::format("{}: the file has changed meanwhile", shown_url(source_.url)));
    }
    if (range->total != 0) return check_total(range->total);
    return {};
  }

  base::Status check_total(std::optional<uint64_t> found) {
    if (!found) return fail("a length in bytes", "none");
    if (source_.size != 0 && *found != source_.size) {
      return fail(fmt::format("{} bytes", source_.size), fmt::format("{}", *found));
    }
    total_ = *found;
    return {};
  }

  // Not kUpstream: the next attempt would find the same.
  [[nodiscard]] base::Status fail(const std::string& expected, const std::string& found) const {
    return base::fail(Code::kCorrupt, fmt::format("{}: {}: expected {}, found {}", source_.name, shown_url(source_.url),
                                                  expected, found));
  }

  const Source& source_;
  PartialFile* part_;
  const Downloader::Tick& tick_;
  int status_ = 0;
  uint64_t total_;
  uint64_t received_ = 0;
};

Code code_of(int status) {
  if (status == 401) return Code::kUnauthorized;
  if (status == 403) return Code::kForbidden;
  if (status == 404 || status == 410) return Code::kNotFound;
  return worth_retrying(status) ? Code::kUnavailable : Code::kUpstream;
}

}  // namespace

Downloader::Downloader(DownloadOptions options, std::unique_ptr<net::HttpClient> client)
    : options_(std::move(options)), client_(std::move(client)) {}

base::Result<std::unique_ptr<Downloader>> Downloader::open(DownloadOptions options) {
  TRY(auto client, net::HttpClient::open());
  return std::unique_ptr<Downloader>(new Downloader(std::move(options), std::move(client)));
}

base::Status Downloader::wait(int attempt, const net::HttpHeaders& headers, const std::string& why) {
  int64_t wait_ms =
      std::min<int64_t>(kMaxWaitMs, static_cast<int64_t>(options_.backoff_ms) << std::min(attempt - 1, 10));
  if (const std::string* after = headers.find("Retry-After")) {
    if (const auto seconds = number_of(*after))
      wait_ms = std::min<int64_t>(kMaxWaitMs, static_cast<int64_t>(std::min<uint64_t>(*seconds, 60)) * 1000);
  }
  if (options_.on_note)
    options_.on_note(fmt::format("{}; going on in {:.1f} s", why, static_cast<double>(wait_ms) / 1e3));
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  while (std::chrono::steady_clock::now() < until && !options_.cancel.cancelled()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min<int64_t>(wait_ms, 20)));
  }
  if (options_.cancel.cancelled()) return base::fail(Code::kCancelled, "stopped; what has arrived is kept");
  return {};
}

// A file on its way: what is left of it, how often in vain, and whether its bytes were thrown away once.
struct Downloader::Job {
  const Source& source;
  const Tick& tick;
  PartialFile* part;
  Checksum checksum;  // the source's, or what the hub says on the way
  uint64_t best;      // the most bytes there were; only more than that is progress
  int fruitless = 0;
  bool again = false;
  uint64_t received = 0;

  // Once: the second time the source itself is wrong.
  base::Status start_over() {
    again = true;
    best = 0;
    return part->restart();
  }
};

base::Result<Download> Downloader::file(const Source& source, const std::string& path, const Tick& tick) {
  const Checksum& said = source.checksum;
  const std::string identity = said.hex.empty() ? fmt::format("url {}", sha256_of(source.url))
                                                : fmt::format("{} {}", checksum_name(said.kind), said.hex);
  TRY(const auto part, PartialFile::open(path, identity, said.kind, source.size));
  Job job{source, tick, part.get(), said, part->have()};
  for (;;) {
    if (source.size != 0 && part->have() > source.size) TRY_STATUS(part->restart());
    if (tick) tick(part->have(), source.size);
    if (source.size == 0 || part->have() < source.size) {
      TRY(const bool whole, attempt(job));
      if (!whole) continue;
    }
    const std::string found = part->finish_digest();
    if (job.checksum.hex.empty() || found == job.checksum.hex) {
      TRY_STATUS(part->commit());
      return Download{part->have(), job.received, found};
    }
    const std::string what =
        fmt::format("{}: expected the {} {}, found {} ({} bytes from {})", source.name,
                    checksum_name(job.checksum.kind), job.checksum.hex, found, part->have(), shown_url(source.url));
    if (job.again) {
      part->remove();
      return base::fail(Code::kCorrupt, what + "; removed");
    }
    if (options_.on_note) options_.on_note(what + "; fetching it anew");
    TRY_STATUS(job.start_over());
  }
}

base::Result<bool> Downloader::attempt(Job& job) {
  const Source& source = job.source;
  PartialFile& part = *job.part;
  GetRequest request;
  request.url = source.url;
  request.authorization = source.authorization;
  request.stall_ms = options_.stall_ms;
  request.ca_file = options_.ca_file;
  // Without a checksum or a validator nobody could tell that the rest belongs to what is there.
  if (part.have() > 0 && job.checksum.hex.empty() && part.tag().empty()) TRY_STATUS(part.restart());
  if (part.have() > 0) {
    request.headers.set("Range", fmt::format("bytes={}-", part.have()));
    if (job.checksum.hex.empty()) request.headers.set("If-Range", part.tag());
  }
  Attempt attempt(source, job.part, job.tick);
  const GetHandler handler{[&](const net::ClientHead& head) { return attempt.on_head(head); },
                           [&](std::string_view bytes) { return attempt.on_body(bytes); }};
  const auto end = get(*client_, request, handler, options_.cancel);
  job.received += attempt.received();
  // Bytes that only replace others (a server without ranges) are no progress, or this might never end.
  if (part.have() > job.best) {
    job.best = part.have();
    job.fruitless = 0;
  }
  const int status = end ? end->status : 0;
  if (status == 416 && part.have() > 0) {
    if (unsatisfied_total(end->headers) == part.have()) return true;
    // The server's file ends before ours does.
    if (!job.again) {
      TRY_STATUS(job.start_over());
      return false;
    }
    return base::fail(Code::kCorrupt, fmt::format("{}: {}: expected bytes from {} on, found a file without them",
                                                  source.name, shown_url(source.url), part.have()));
  }
  const bool arrived = status == 200 || status == 206;
  const bool cut = arrived && attempt.total() != 0 && part.have() < attempt.total();
  if (arrived && !cut) {
    if (job.checksum.hex.empty() && job.checksum.kind == ChecksumKind::kSha256) job.checksum.hex = end->linked_sha256;
    return true;
  }
  std::string why;
  Code code = Code::kUpstream;
  if (cut) {
    why = fmt::format("{}: expected {} bytes, found an end after {}", source.name, attempt.total(), part.have());
  } else if (end) {
    code = code_of(status);
    why = fmt::format("{}: {}: expected 200 or 206, found {} ({})", source.name, shown_url(end->url), status,
                      net::reason_phrase(status));
  } else {
    code = end.error().code;
    why = fmt::format("{}: {}", source.name, end.error().message);
  }
  if (!cut && !(end ? worth_retrying(status) : worth_retrying(code))) return base::fail(code, std::move(why));
  if (++job.fruitless >= options_.tries) {
    return base::fail(code, fmt::format("{} ({} attempts in a row; what has arrived is kept)", why, job.fruitless));
  }
  TRY_STATUS(wait(job.fruitless, end ? end->headers : net::HttpHeaders(), why));
  return false;
}

base::Result<Downloader::Page> Downloader::page(const std::string& url, const std::string& authorization,
                                                const std::string& accept) {
  for (int attempt = 1;; ++attempt) {
    Page page;
    GetRequest request;
    request.url = url;
    request.authorization = authorization;
    request.stall_ms = options_.stall_ms;
    request.ca_file = options_.ca_file;
    if (!accept.empty()) request.headers.set("Accept", accept);
    GetHandler handler;
    handler.on_body = [&](std::string_view bytes) -> base::Status {
      if (bytes.size() > kMaxPageBytes - page.body.size()) {
        return base::fail(Code::kTooLarge, fmt::format("{}: expected a page of at most {} bytes, found more",
                                                       shown_url(url), kMaxPageBytes));
      }
      page.body += bytes;
      return {};
    };
    auto end = get(*client_, request, handler, options_.cancel);
    const bool retry = end ? worth_retrying(end->status) : worth_retrying(end.error().code);
    if (!retry || attempt >= options_.tries) {
      if (!end) return tl::make_unexpected(end.error());
      page.status = end->status;
      page.url = std::move(end->url);
      page.headers = std::move(end->headers);
      return page;
    }
    const std::string why = end ? fmt::format("{}: expected 200, found {} ({})", shown_url(url), end->status,
                                              net::reason_phrase(end->status))
                                : end.error().message;
    TRY_STATUS(wait(attempt, end ? end->headers : net::HttpHeaders(), why));
  }
}

}  // namespace concerto::fetch
