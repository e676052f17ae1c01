// Metrics: counters and histograms of the server, printed in Prometheus' text format. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "api/service.h"
#include "base/clock.h"

namespace concerto::api {

// What became of one chat request.
struct ChatRecord {
  std::string tier;    // empty: no tier answered
  std::string reason;  // "keyword:合同" counts as "keyword": what users write must not become label values
  int status = 200;
  bool has_first_token = false;
  double first_token_seconds = 0;
  double seconds = 0;
  cascade::Usage usage;
};

class Metrics {
 public:
  explicit Metrics(const base::Clock& clock) : start_ns_(clock.now_ns()), clock_(clock) {}

  void count_http(std::string_view method, std::string_view pattern, int status, double seconds);
  void count_chat(const ChatRecord& record);
  void chat_started();
  void chat_ended();

  [[nodiscard]] std::string render(const Service& service, int connections) const;

 private:
  struct Histogram {
    std::array<uint64_t, 14> counts{};  // the last: +Inf
    double sum = 0;
    uint64_t total = 0;
    void add(double seconds);
  };
  using Counter = std::map<std::string, uint64_t>;  // label text -> count
  using Histograms = std::map<std::string, Histogram>;

  static void render_counter(std::string* out, std::string_view name, std::string_view help, const Counter& counter);
  static void render_histograms(std::string* out, std::string_view name, std::string_view help, const Histograms& all);

  int64_t start_ns_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;
  // Everything below is guarded by mutex_.
  Counter http_;
  Counter chats_;
  Counter tokens_;
  Histograms http_seconds_;
  Histograms first_token_;
  Histograms chat_seconds_;
  int chats_running_ = 0;
};

}  // namespace concerto::api
