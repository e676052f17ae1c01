#include "net/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

namespace concerto::net {
namespace {

using base::Code;
using Time = std::chrono::steady_clock::time_point;

constexpr size_t kMaxHeadBytes = size_t{64} << 10;
constexpr int kPollMs = 20;          // how late a cancelled token may be seen
constexpr int kIdlePollMs = 60'000;  // without transfers; start() wakes the thread

// The URL as error messages show it: no user, no password, no query.
std::string shown(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url.substr(0, 200));
  std::string_view rest = url.substr(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("?#"));
  const std::string_view authority = rest.substr(0, rest.find('/'));
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) rest.remove_prefix(at + 1);
  return fmt::format("{}://{}", url.substr(0, scheme), rest.substr(0, 200));
}

// Loopback upstreams are reached directly even when the environment names a proxy.
bool is_loopback(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view rest = url.substr(scheme + 3);
  return rest.starts_with("127.") || rest.starts_with("localhost") || rest.starts_with("[::1]");
}

struct Transfer {
  ClientRequest request;
  ClientHandler handler;
  base::CancelToken cancel;
  std::string url;  // as shown in errors
  CURL* easy = nullptr;
  curl_slist* fields = nullptr;
  ClientHead head;
  size_t head_bytes = 0;
  size_t body_bytes = 0;
  Time last_activity;
  curl_off_t moved = 0;  // bytes up and down at last_activity
  base::Error error;     // set by our callbacks when they end the transfer
  bool has_error = false;
  char detail[CURL_ERROR_SIZE] = {};

  ~Transfer() {
    if (easy != nullptr) curl_easy_cleanup(easy);
    curl_slist_free_all(fields);
  }
  void set_error(Code code, std::string message) {
    if (has_error) return;
    error = {code, fmt::format("{}: {}", url, message), {}};
    has_error = true;
  }
};

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::string_view line(data, size * count);
  transfer.head_bytes += line.size();
  if (transfer.head_bytes > kMaxHeadBytes) {
    transfer.set_error(Code::kTooLarge, fmt::format("expected a header of at most {} bytes", kMaxHeadBytes));
    return 0;
  }
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // a new head begins (after 100 Continue)
    transfer.head = {};
    const size_t space = line.find(' ');
    if (space != std::string_view::npos && line.size() >= space + 4) {
      std::from_chars(line.data() + space + 1, line.data() + space + 4, transfer.head.status);
    }
  } else if (line.empty()) {
    if (transfer.head.status >= 200 && transfer.handler.on_head) transfer.handler.on_head(transfer.head);
  } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    transfer.head.headers.add(std::string(line.substr(0, colon)), std::string(value));
  }
  return size * count;
}

size_t on_data(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  transfer.body_bytes += bytes;
  if (transfer.body_bytes > transfer.request.max_body_bytes) {
    transfer.set_error(Code::kTooLarge,
                       fmt::format("expected a body of at most {} bytes, found more", transfer.request.max_body_bytes));
    return 0;
  }
  if (transfer.handler.on_body && !transfer.handler.on_body(std::string_view(data, bytes))) {
    transfer.set_error(Code::kCancelled, "the reader stopped");
    return 0;
  }
  return bytes;
}

int on_progress(void* user, curl_off_t, curl_off_t down, curl_off_t, curl_off_t up) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (down + up != transfer.moved) {
    transfer.moved = down + up;
    transfer.last_activity = std::chrono::steady_clock::now();
  }
  return transfer.cancel.cancelled() ? 1 : 0;
}

base::Error error_of(const Transfer& transfer, CURLcode code) {
  if (transfer.has_error) return transfer.error;
  const char* what = transfer.detail[0] != '\0' ? transfer.detail : curl_easy_strerror(code);
  Code ours = Code::kUpstream;
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      ours = Code::kCancelled;
      break;
    case CURLE_OPERATION_TIMEDOUT:
      ours = Code::kTimeout;
      break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      ours = Code::kInvalidArgument;
      break;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      ours = Code::kUnavailable;
      break;
    case CURLE_OUT_OF_MEMORY:
      ours = Code::kOutOfMemory;
      break;
    default:
      break;
  }
  return {ours, fmt::format("{}: {}", transfer.url, what), {}};
}

bool is_header_safe(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(CURLM* multi) : multi_(multi), thread_([this] { loop(); }) {}

  ~CurlClient() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    curl_multi_wakeup(multi_);
    thread_.join();
    curl_multi_cleanup(multi_);
  }

  void start(ClientRequest request, ClientHandler handler, base::CancelToken cancel) override {
    auto transfer = std::make_unique<Transfer>();
    transfer->url = shown(request.url);
    transfer->request = std::move(request);
    transfer->handler = std::move(handler);
    transfer->cancel = std::move(cancel);
    {
      const std::lock_guard lock(mutex_);
      incoming_.push_back(std::move(transfer));
    }
    curl_multi_wakeup(multi_);
  }

 private:
  using Transfers = std::list<std::unique_ptr<Transfer>>;

  static void finish(Transfer& transfer, base::Status status) {
    if (transfer.handler.on_done) transfer.handler.on_done(std::move(status));
  }

  void loop() {
    for (;;) {
      Transfers fresh;
      {
        const std::lock_guard lock(mutex_);
        if (stop_) break;
        fresh.swap(incoming_);
      }
      for (auto& transfer : fresh) begin(std::move(transfer));
      int running = 0;
      curl_multi_perform(multi_, &running);
      collect();
      expire();
      curl_multi_poll(multi_, nullptr, 0, active_.empty() ? kIdlePollMs : kPollMs, nullptr);
    }
    Transfers rest;
    {
      const std::lock_guard lock(mutex_);
      rest.swap(incoming_);
    }
    for (auto& transfer : active_) curl_multi_remove_handle(multi_, transfer->easy);
    rest.splice(rest.begin(), active_);
    for (auto& transfer : rest) {
      finish(*transfer, base::fail(Code::kCancelled, fmt::format("{}: the client stops", transfer->url)));
    }
  }

  void begin(std::unique_ptr<Transfer> transfer) {
    if (auto status = prepare(*transfer); !status) {
      finish(*transfer, std::move(status));
      return;
    }
    curl_multi_add_handle(multi_, transfer->easy);
    active_.push_back(std::move(transfer));
  }

  static base::Status prepare(Transfer& t) {
    const ClientRequest& r = t.request;
    for (const auto& [name, value] : r.headers) {
      if (name.empty() || !is_header_safe(name) || !is_header_safe(value) || name.find(':') != std::string::npos) {
        return base::fail(Code::kInvalidArgument,
                          fmt::format("{}: expected header fields of one line, found another in '{}'", t.url,
                                      name.substr(0, name.find_first_of("\r\n"))));
      }
    }
    t.easy = curl_easy_init();
    if (t.easy == nullptr) return base::fail(Code::kOutOfMemory, t.url + ": no memory for a transfer");
    CURL* easy = t.easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, &t);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_URL, r.url.c_str());
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t.detail);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(r.connect_timeout_ms));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(r.total_timeout_ms));
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &t);
    if (!r.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, r.ca_file.c_str());
    if (is_loopback(r.url)) curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (r.method == "POST") {
      curl_easy_setopt(easy, CURLOPT_POST, 1L);
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r.body.data());
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(r.body.size()));
    } else if (r.method == "HEAD") {
      curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (r.method != "GET") {
      return base::fail(Code::kInvalidArgument,
                        fmt::format("{}: expected the method GET, HEAD or POST, found '{}'", t.url, r.method));
    }
    for (const auto& [name, value] : r.headers) {
      // "Name;" is libcurl's way to send a field without a value.
      const std::string line = value.empty() ? name + ";" : fmt::format("{}: {}", name, value);
      t.fields = curl_slist_append(t.fields, line.c_str());
    }
    t.fields = curl_slist_append(t.fields, "Expect:");  // no round trip before the body
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t.fields);
    t.last_activity = std::chrono::steady_clock::now();
    return {};
  }

  // Takes the transfers out that libcurl has finished. The handler may start() another: no lock is held.
  void collect() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      Transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      auto owned = take(transfer);
      if (code == CURLE_OK) {
        finish(*owned, {});
      } else {
        finish(*owned, tl::make_unexpected(error_of(*owned, code)));
      }
    }
  }

  // Ends transfers that were cancelled or are idle for too long (libcurl calls back about once a second only).
  void expire() {
    const Time now = std::chrono::steady_clock::now();
    std::vector<Transfer*> over;
    for (auto& transfer : active_) {
      const int idle_ms = transfer->request.idle_timeout_ms;
      if (transfer->cancel.cancelled()) {
        transfer->set_error(Code::kCancelled, "cancelled");
        over.push_back(transfer.get());
      } else if (idle_ms > 0 && now - transfer->last_activity > std::chrono::milliseconds(idle_ms)) {
        transfer->set_error(Code::kTimeout, fmt::format("expected data within {} ms, found none", idle_ms));
        over.push_back(transfer.get());
      }
    }
    for (Transfer* transfer : over) {
      auto owned = take(transfer);
      finish(*owned, tl::make_unexpected(owned->error));
    }
  }

  std::unique_ptr<Transfer> take(Transfer* transfer) {
    curl_multi_remove_handle(multi_, transfer->easy);
    const auto it = std::find_if(active_.begin(), active_.end(), [&](const auto& t) { return t.get() == transfer; });
    std::unique_ptr<Transfer> owned = std::move(*it);
    active_.erase(it);
    return owned;
  }

  CURLM* multi_;
  std::mutex mutex_;
  Transfers incoming_;  // guarded by mutex_
  bool stop_ = false;   // guarded by mutex_
  Transfers active_;    // the thread's own
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

base::Result<std::unique_ptr<HttpClient>> HttpClient::open() {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (global != CURLE_OK) {
    return base::fail(Code::kInternal, fmt::format("http client: {}", curl_easy_strerror(global)));
  }
  CURLM* multi = curl_multi_init();
  if (multi == nullptr) return base::fail(Code::kOutOfMemory, "http client: no memory");
  return std::make_unique<CurlClient>(multi);
}

base::Result<ClientResponse> HttpClient::fetch(ClientRequest request, base::CancelToken cancel) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable ready;
    bool done = false;
    base::Status status;
    ClientResponse response;
  };
  auto shared = std::make_shared<Shared>();
  ClientHandler handler;
  handler.on_head = [shared](const ClientHead& head) {
    shared->response.status = head.status;
    shared->response.headers = head.headers;
  };
  handler.on_body = [shared](std::string_view bytes) {
    shared->response.body.append(bytes);
    return true;
  };
  handler.on_done = [shared](base::Status status) {
    const std::lock_guard lock(shared->mutex);
    shared->status = std::move(status);
    shared->done = true;
    shared->ready.notify_all();
  };
  start(std::move(request), std::move(handler), std::move(cancel));
  std::unique_lock lock(shared->mutex);
  shared->ready.wait(lock, [&] { return shared->done; });
  if (!shared->status) return tl::make_unexpected(shared->status.error());
  return std::move(shared->response);
}

}  // namespace concerto::net
