// Mirror: a small HTTP server for tests that can do wrong what servers and lines do wrong: cut, stall, corrupt, lie.
//
// Serves what `answer` makes of each request, a thread a connection, one request a connection. It counts the body bytes
// that it sent, and keeps the requests.
#pragma once

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace concerto::fetch {

struct MirrorRequest {
  std::string path;                           // with the query
  std::map<std::string, std::string> fields;  // names in lower case
};

struct MirrorResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  bool ranges = true;       // answers Range with 206
  int64_t cut_after = -1;   // body bytes of this response, then the connection ends
  int stall_ms = 0;         // silence at the cut instead of an end
  int64_t claim = -1;       // says that the whole has so many bytes
  int delay_us_per_kb = 0;  // a slow line
};

class Mirror {
 public:
  using Answer = std::function<MirrorResponse(const MirrorRequest&)>;

  explicit Mirror(Answer answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listener_, 64) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }

  ~Mirror() {
    stop_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    for (auto& one : serving_) one.join();
    ::close(listener_);
  }
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;

  [[nodiscard]] std::string url(const std::string& path = "") const {
    return fmt::format("http://127.0.0.1:{}{}", port_, path);
  }
  [[nodiscard]] uint64_t sent() const { return sent_; }
  void forget_sent() { sent_ = 0; }
  std::vector<MirrorRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept_all() {
    while (!stop_) {
      const int peer = ::accept(listener_, nullptr, nullptr);
      if (peer < 0) return;
      serving_.emplace_back([this, peer] {
        serve(peer);
        ::close(peer);
      });
    }
  }

  void serve(int peer) {
    std::string head;
    char block[4096];
    while (head.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = ::recv(peer, block, sizeof block, 0);
      if (got <= 0) return;
      head.append(block, static_cast<size_t>(got));
    }
    MirrorRequest request;
    const size_t space = head.find(' ');
    request.path = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
    for (size_t at = head.find("\r\n") + 2; at < head.size() - 2;) {
      const size_t end = head.find("\r\n", at);
      const size_t colon = head.find(':', at);
      std::string name = head.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      request.fields[name] = head.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    send_response(peer, answer_(request), request);
  }

  void send_response(int peer, MirrorResponse response, const MirrorRequest& request) {
    const auto whole = static_cast<int64_t>(response.body.size());
    const int64_t claimed = response.claim >= 0 ? response.claim : whole;
    int64_t from = 0;
    const auto range = request.fields.find("range");
    if (range != request.fields.end() && response.status == 200 && response.ranges) {
      const std::string& text = range->second;  // "bytes=N-"
      std::from_chars(text.data() + 6, text.data() + text.size(), from);
      response.status = from < whole ? 206 : 416;
      response.fields.emplace_back("Content-Range", from < whole
                                                        ? fmt::format("bytes {}-{}/{}", from, claimed - 1, claimed)
                                                        : fmt::format("bytes */{}", claimed));
      if (from >= whole) response.body.clear();
      if (from >= whole) from = 0;
    }
    const bool keeps = response.status == 416;
    std::string head = fmt::format("HTTP/1.1 {} Some\r\nContent-Length: {}\r\nConnection: close\r\n", response.status,
                                   keeps ? 0 : claimed - from);
    for (const auto& [name, value] : response.fields) head += fmt::format("{}: {}\r\n", name, value);
    if (!send_all(peer, head + "\r\n")) return;
    std::string_view rest = std::string_view(response.body).substr(static_cast<size_t>(from));
    if (response.cut_after >= 0) rest = rest.substr(0, static_cast<size_t>(response.cut_after));
    while (!rest.empty()) {
      const std::string_view piece = rest.substr(0, response.delay_us_per_kb > 0 ? 16384 : 1 << 20);
      if (!send_all(peer, piece)) return;
      sent_ += piece.size();
      rest.remove_prefix(piece.size());
      std::this_thread::sleep_for(std::chrono::microseconds(response.delay_us_per_kb * piece.size() / 1024));
    }
    for (int waited = 0; waited < response.stall_ms && !stop_; waited += 10) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  static bool send_all(int peer, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  Answer answer_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> sent_{0};
  std::mutex mutex_;
  std::vector<MirrorRequest> requests_;  // guarded by mutex_
  std::vector<std::thread> serving_;     // the accepting thread's, until it has ended
  std::thread accepting_;
};

}  // namespace concerto::fetch
