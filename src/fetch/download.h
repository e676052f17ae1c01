// Downloader: makes a file whole and right, whatever the line does.
//
// Bytes arrive in PATH.incomplete, hashed on the fly. PATH.incomplete.from says whose bytes they are, so that the next
// attempt, or the next process, goes on where this one ended (Range, If-Range) and never mixes two files. PATH itself
// appears only when the size and the checksum are right. A cut, a stall or a busy server is tried again, later and
// later; an attempt that brought bytes starts the count anew. Bytes that do not match are thrown away and fetched once
// more. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/cancel_token.h"
#include "base/result.h"
#include "fetch/digest.h"
#include "net/http_client.h"

namespace concerto::fetch {

struct DownloadOptions {
  int tries = 6;           // attempts in a row that brought nothing
  int backoff_ms = 1'000;  // before the second; doubled each time, at most 30 s
  int stall_ms = 30'000;   // no byte for so long ends an attempt
  std::string ca_file;     // PEM; empty: the system's
  base::CancelToken cancel;
  std::function<void(const std::string&)> on_note;  // "…: cut off after 12 MB; going on in 1 s"; may be empty
};

struct Source {
  std::string url;
  std::string authorization;  // for the origin of `url` only
  std::string name;           // in notes and errors
  uint64_t size = 0;          // 0: not known
  Checksum checksum;          // empty: not known
  std::string magic;          // what the file must begin with; may be empty
};

struct Download {
  uint64_t bytes = 0;     // of the file
  uint64_t received = 0;  // over the network, by this call
  std::string hash;       // of the checksum's kind
};

class Downloader {
 public:
  static base::Result<std::unique_ptr<Downloader>> open(DownloadOptions options);

  // `tick`, if any, gets how much of the file there is and how much there will be (0: unknown), on the client's thread.
  using Tick = std::function<void(uint64_t have, uint64_t total)>;
  base::Result<Download> file(const Source& source, const std::string& path, const Tick& tick = {});

  struct Page {
    int status = 0;
    std::string url;  // after redirects
    net::HttpHeaders headers;
    std::string body;
  };
  // A page in memory, at most 64 MB, with the same patience. Any status that isn't worth another attempt is an answer.
  base::Result<Page> page(const std::string& url, const std::string& authorization = {},
                          const std::string& accept = {});

  [[nodiscard]] const DownloadOptions& options() const noexcept { return options_; }

 private:
  struct Job;
  Downloader(DownloadOptions options, std::unique_ptr<net::HttpClient> client);
  // One request for what is missing. true: all has arrived; false: ask again.
  base::Result<bool> attempt(Job& job);
  // Sleeps before attempt `attempt` (from 1); kCancelled when it is cancelled meanwhile.
  base::Status wait(int attempt, const net::HttpHeaders& headers, const std::string& why);

  DownloadOptions options_;
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace concerto::fetch
