#include "api/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace concerto::api {
namespace {

// Seconds. A template's "hello" takes 10 ms on the smallest model, a long answer of a 7B on two cores some minutes.
constexpr std::array<double, 13> kBuckets = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300};

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

void describe(std::string* out, std::string_view name, std::string_view help, std::string_view type) {
  fmt::format_to(std::back_inserter(*out), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void gauge(std::string* out, std::string_view name, std::string_view help, double value) {
  describe(out, name, help, "gauge");
  fmt::format_to(std::back_inserter(*out), "{} {}\n", name, value);
}

}  // namespace

void Metrics::Histogram::add(double seconds) {
  const auto at = std::lower_bound(kBuckets.begin(), kBuckets.end(), seconds);
  ++counts.at(static_cast<size_t>(at - kBuckets.begin()));
  sum += seconds;
  ++total;
}

void Metrics::count_http(std::string_view method, std::string_view pattern, int status, double seconds) {
  // Methods are the client's own words: only known ones become labels.
  constexpr std::array<std::string_view, 5> kMethods = {"GET", "HEAD", "POST", "OPTIONS", "DELETE"};
  const bool known = std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
  const std::string route = pattern.empty() ? "none" : std::string(pattern);
  const std::lock_guard lock(mutex_);
  ++http_[fmt::format(R"(method="{}",route="{}",status="{}")", known ? method : "other", route, status)];
  http_seconds_[fmt::format(R"(route="{}")", route)].add(seconds);
}

void Metrics::count_chat(const ChatRecord& record) {
  const std::string tier = record.tier.empty() ? "none" : escaped(record.tier);
  const std::string reason = escaped(std::string_view(record.reason).substr(0, record.reason.find(':')));
  const std::lock_guard lock(mutex_);
  ++chats_[fmt::format(R"(tier="{}",reason="{}",status="{}")", tier, reason, record.status)];
  chat_seconds_[fmt::format(R"(tier="{}")", tier)].add(record.seconds);
  if (record.has_first_token) first_token_[fmt::format(R"(tier="{}")", tier)].add(record.first_token_seconds);
  const auto tokens = [&](std::string_view kind, int count) {
    tokens_[fmt::format(R"(tier="{}",kind="{}")", tier, kind)] += static_cast<uint64_t>(std::max(0, count));
  };
  if (record.tier.empty()) return;
  tokens("prompt", record.usage.prompt_tokens);
  tokens("cached", record.usage.cached_tokens);
  tokens("completion", record.usage.completion_tokens);
}

void Metrics::chat_started() {
  const std::lock_guard lock(mutex_);
  ++chats_running_;
}

void Metrics::chat_ended() {
  const std::lock_guard lock(mutex_);
  --chats_running_;
}

void Metrics::render_counter(std::string* out, std::string_view name, std::string_view help, const Counter& counter) {
  describe(out, name, help, "counter");
  for (const auto& [labels, value] : counter) {
    fmt::format_to(std::back_inserter(*out), "{}{{{}}} {}\n", name, labels, value);
  }
}

void Metrics::render_histograms(std::string* out, std::string_view name, std::string_view help, const Histograms& all) {
  describe(out, name, help, "histogram");
  for (const auto& [labels, h] : all) {
    uint64_t below = 0;
    for (size_t i = 0; i < kBuckets.size(); ++i) {
      below += h.counts.at(i);
      fmt::format_to(std::back_inserter(*out), "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, kBuckets.at(i), below);
    }
    fmt::format_to(std::back_inserter(*out), "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, h.total);
    fmt::format_to(std::back_inserter(*out), "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels, h.sum,
                   h.total);
  }
}

std::string Metrics::render(const Service& service, int connections) const {
  const auto engines = service.engines();
  const auto gauges = service.gauges();
  const bool ready = service.readiness().ready;
  std::string out;
  {
    const std::lock_guard lock(mutex_);
    render_counter(&out, "concerto_http_requests_total", "HTTP requests answered.", http_);
    render_histograms(&out, "concerto_http_request_seconds", "From a request's head to its response's end.",
                      http_seconds_);
    render_counter(&out, "concerto_requests_total", "Chat requests by the tier that answered, why, and status.",
                   chats_);
    render_histograms(&out, "concerto_first_token_seconds", "From a chat request to its first text.", first_token_);
    render_histograms(&out, "concerto_request_seconds", "From a chat request to its end.", chat_seconds_);
    render_counter(&out, "concerto_tokens_total", "Tokens of answered chat requests.", tokens_);
    gauge(&out, "concerto_requests_running", "Chat requests under way.", chats_running_);
  }
  gauge(&out, "concerto_connections", "Open client connections.", connections);
  gauge(&out, "concerto_ready", "1 when requests are served.", ready ? 1 : 0);
  gauge(&out, "concerto_uptime_seconds", "Since the server started.",
        static_cast<double>(clock_.now_ns() - start_ns_) / 1e9);
  for (const Gauge& g : gauges) gauge(&out, g.name, g.help, g.value);

  const auto per_engine = [&](std::string_view name, std::string_view help, std::string_view type, auto value) {
    if (engines.empty()) return;
    describe(&out, name, help, type);
    for (const EngineSample& sample : engines) {
      fmt::format_to(std::back_inserter(out), "{}{{tier=\"{}\"}} {}\n", name, escaped(sample.tier),
                     value(sample.stats));
    }
  };
  using Stats = engine::EngineStats;
  per_engine("concerto_engine_running", "Generations in the batch.", "gauge", [](const Stats& s) { return s.running; });
  per_engine("concerto_engine_waiting", "Generations in the queue.", "gauge", [](const Stats& s) { return s.waiting; });
  per_engine("concerto_engine_kv_blocks", "KV blocks in the pool.", "gauge",
             [](const Stats& s) { return s.kv_blocks_total; });
  per_engine("concerto_engine_kv_blocks_free", "KV blocks not in use.", "gauge",
             [](const Stats& s) { return s.kv_blocks_free; });
  per_engine("concerto_engine_prompt_tokens_total", "Prompt tokens computed.", "counter",
             [](const Stats& s) { return s.prompt_tokens; });
  per_engine("concerto_engine_cached_tokens_total", "Prompt tokens that the prefix cache spared.", "counter",
             [](const Stats& s) { return s.cached_tokens; });
  per_engine("concerto_engine_preemptions_total", "Times a generation was set aside for want of KV blocks.", "counter",
             [](const Stats& s) { return s.preemptions; });
  per_engine("concerto_engine_completion_tokens_total", "Tokens generated.", "counter",
             [](const Stats& s) { return s.completion_tokens; });
  per_engine("concerto_engine_drafted_tokens_total", "Guesses of the next tokens computed.", "counter",
             [](const Stats& s) { return s.drafted_tokens; });
  per_engine("concerto_engine_accepted_tokens_total", "Guesses that were right.", "counter",
             [](const Stats& s) { return s.accepted_tokens; });
  per_engine("concerto_engine_weight_bytes", "Bytes of the weights.", "gauge",
             [](const Stats& s) { return s.weight_bytes; });
  return out;
}

}  // namespace concerto::api
