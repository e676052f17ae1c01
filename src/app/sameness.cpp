#include "app/sameness.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "api/server.h"
#include "app/product.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "cascade/local_backend.h"
#include "kernels/kernels.h"
#include "net/http_client.h"
#include "net/sse_parser.h"

namespace concerto::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using base::Code;
using base::fail;

constexpr int kMostAtOnce = 8;
constexpr int kAnswerTokens = 12;
constexpr size_t kMaxDifferences = 5;
// The reference kernels take some twenty times as long: so many requests of another table are worth one of theirs.
constexpr int kGenericWeight = 10;

// With the template around it longer than a KV block, so that the prefix cache has something to give.
constexpr const char* kRules =
    "You answer in one short sentence. You never apologise and never repeat the question. You give numbers as digits, "
    "dates as year-month-day, and code without explanations. When you do not know something, you say so in three "
    "words. You answer in the language of the question.";

struct Setting {
  std::string isa;
  int threads = 1;
  bool cache = false;
  engine::Speculation speculation = engine::Speculation::kOff;

  [[nodiscard]] std::string name() const {
    return fmt::format("{}, {} thread{}, prefix cache {}, speculation {}", isa, threads, threads == 1 ? "" : "s",
                       cache ? "on" : "off", speculation == engine::Speculation::kOff ? "off" : "on");
  }
};

// Every setting; or, for a few requests, two opposite ones of each instruction set, so that each pair of choices is
// there.
std::vector<Setting> settings_for(int requests) {
  std::vector<Setting> all;
  const int cores = std::max(2, base::available_cores());
  unsigned tables = 0;
  for (const char* isa : {"avx512", "avx2", "neon", "generic"}) {
    if (kernels::find_table(isa) == nullptr) continue;
    for (unsigned i = 0; i < 8; ++i) {
      all.push_back({isa, (i & 1U) != 0 ? cores : 1, (i & 2U) != 0,
                     (i & 4U) != 0 ? engine::Speculation::kLookup : engine::Speculation::kOff});
    }
    ++tables;
  }
  if (requests >= std::ssize(all) * 2) return all;
  std::vector<Setting> some;
  for (unsigned t = 0; t < tables; ++t) {
    const unsigned one = (1U << t) & 7U;
    some.push_back(all[t * 8 + one]);
    some.push_back(all[t * 8 + (one ^ 7U)]);
  }
  return some;
}

// The different requests, without model and stream.
std::vector<Json> all_requests() {
  const auto request = [](const char* system, const char* user, Json options) {
    Json messages = Json::array();
    if (system != nullptr) messages.push_back({{"role", "system"}, {"content", system}});
    messages.push_back({{"role", "user"}, {"content", user}});
    options["messages"] = std::move(messages);
    options["max_tokens"] = kAnswerTokens;
    options["logprobs"] = true;
    options["top_logprobs"] = 3;
    return options;
  };
  const Json greedy = {{"temperature", 0}};
  const auto drawn = [](uint64_t seed) { return Json{{"temperature", 0.7}, {"seed", seed}}; };
  return {
      request(nullptr, "What is the capital of France?", greedy),
      request(nullptr, "用一句话介绍杭州。", drawn(1)),
      request(kRules, "我的订单三天没有发货，怎么办？", greedy),
      request(kRules, "When was the first moon landing?", drawn(2)),
      request(kRules, "Write a Python function that returns the larger of two numbers.",
              {{"temperature", 0.7}, {"seed", 3}, {"top_p", 0.9}, {"top_k", 40}}),
      request(kRules, "把 SELECT nmae FROM user WHERE id = 1 里的错误改正。", greedy),
      request(nullptr, "Repeat: one two three four one two three four one two three four one two", greedy),
      request(nullptr, "Copy this line:\nfor (int i = 0; i < n; ++i) sum += a[i];",
              {{"temperature", 0}, {"repetition_penalty", 1.1}}),
      request(kRules, "Name three rivers.",
              {{"temperature", 0.7}, {"seed", 4}, {"presence_penalty", 0.5}, {"frequency_penalty", 0.3}}),
      request(nullptr, "日志报错：connection refused。可能的原因？",
              {{"temperature", 0.7}, {"seed", 5}, {"min_p", 0.05}}),
  };
}

// What must be the same, as text. Empty when it is no answer.
class Answer {
 public:
  explicit Answer(bool stream) : stream_(stream) {}
  void feed(std::string_view bytes) { body_ += bytes; }

  [[nodiscard]] std::string canonical() const {
    if (!stream_) return of_whole();
    net::SseParser parser;
    std::vector<net::SseEvent> events;
    if (!parser.feed(body_, &events)) return "";
    std::string content;
    std::string logprobs;
    std::string finish;
    for (const net::SseEvent& event : events) {
      const Json chunk = Json::parse(event.data, nullptr, false);
      if (!chunk.is_object() || !chunk.contains("choices") || chunk["choices"].empty()) continue;
      const Json& choice = chunk["choices"][0];
      if (choice["delta"].contains("content")) content += choice["delta"]["content"].get<std::string>();
      if (choice["logprobs"].is_object()) append(choice["logprobs"], &logprobs);
      if (choice["finish_reason"].is_string()) finish = ending(choice, chunk);
    }
    return finish.empty() ? "" : content + "\n" + logprobs + finish;
  }
  [[nodiscard]] const std::string& body() const { return body_; }

 private:
  [[nodiscard]] std::string of_whole() const {
    const Json body = Json::parse(body_, nullptr, false);
    if (!body.is_object() || !body.contains("choices")) return "";
    const Json& choice = body["choices"][0];
    std::string logprobs;
    append(choice["logprobs"], &logprobs);
    return choice["message"]["content"].get<std::string>() + "\n" + logprobs + ending(choice, body);
  }
  static void append(const Json& logprobs, std::string* out) {
    for (const Json& token : logprobs["content"]) *out += token.dump() + "\n";
  }
  static std::string ending(const Json& choice, const Json& outer) {
    return fmt::format("{} {}", choice["finish_reason"].dump(), outer["concerto"]["confidence"].dump());
  }

  bool stream_;
  std::string body_;
};

// A server of one model in one setting, and its clients.
class Bench {
 public:
  static base::Result<std::unique_ptr<Bench>> start(const std::string& model, const Setting& setting,
                                                    const std::string& folder) {
    std::unique_ptr<Bench> bench(new Bench);
    Config config;
    config.store_path = folder + "/cases.db";
    TierConfig tier;
    tier.name = "model";
    tier.model = model;
    config.tiers = {tier};
    const auto maker = [setting](const TierConfig& one, const TierContext& context,
                                 const std::function<void(double)>& progress) -> base::Result<LoadedTier> {
      engine::EngineOptions options;
      options.model_path = one.model;
      options.isa = setting.isa;
      options.threads = setting.threads;
      options.prefix_cache = setting.cache;
      options.speculation = setting.speculation;
      options.context = 512;
      options.max_running = kMostAtOnce;
      options.progress = progress;
      LoadedTier loaded;
      TRY(loaded.engine, engine::Engine::open(options));
      TRY(loaded.backend, cascade::make_local_backend(one.name, loaded.engine, *context.clock));
      return loaded;
    };
    TRY(bench->product_, Product::create(config, maker));
    TRY(bench->client_, net::HttpClient::open());
    TRY(bench->server_, api::ApiServer::start({.port = 0}, bench->product_.get()));
    bench->product_->load();
    for (;;) {
      const auto loaded = bench->product_->wait_loaded(1000);
      if (!loaded) continue;
      TRY_STATUS(*loaded);
      return bench;
    }
  }
  ~Bench() {
    client_.reset();
    if (server_) server_->stop(0);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  // All at once; every second one streamed, `turn` says which.
  std::vector<std::string> ask(const std::vector<Json>& requests, int turn) {
    std::mutex mutex;
    std::condition_variable ended;
    size_t open = requests.size();
    std::vector<Answer> answers;
    answers.reserve(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      const bool stream = (static_cast<size_t>(turn) + i) % 2 == 1;
      Answer& answer = answers.emplace_back(stream);
      Json body = requests[i];
      body["model"] = "model";
      body["stream"] = stream;
      net::ClientRequest request;
      request.url = fmt::format("http://127.0.0.1:{}/v1/chat/completions", server_->port());
      request.headers = {{"Content-Type", "application/json"}};
      request.body = body.dump();
      request.idle_timeout_ms = 600'000;
      net::ClientHandler handler;
      handler.on_body = [&answer](std::string_view bytes) {
        answer.feed(bytes);
        return true;
      };
      handler.on_done = [&](const base::Status& status) {
        const std::lock_guard lock(mutex);
        if (!status) answer.feed(status.error().message);
        if (--open == 0) ended.notify_all();
      };
      client_->start(std::move(request), std::move(handler), {});
    }
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return open == 0; });
    std::vector<std::string> out;
    for (const Answer& answer : answers) {
      std::string text = answer.canonical();
      out.push_back(text.empty() ? "no answer: " + answer.body().substr(0, 300) : std::move(text));
    }
    return out;
  }

 private:
  Bench() = default;
  std::unique_ptr<Product> product_;
  std::unique_ptr<api::ApiServer> server_;
  std::unique_ptr<net::HttpClient> client_;
};

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "concerto-sameness-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// How many of the requests each setting gets; every setting at least one.
std::vector<int> shares(const std::vector<Setting>& settings, int requests) {
  const auto weight = [](const Setting& one) { return one.isa == "generic" ? 1 : kGenericWeight; };
  int all = 0;
  for (const Setting& one : settings) all += weight(one);
  std::vector<int> out;
  int given = 0;
  int passed = 0;
  for (const Setting& one : settings) {
    passed += weight(one);
    out.push_back(std::max(1, static_cast<int>(int64_t{requests} * passed / all) - given));
    given += out.back();
  }
  return out;
}

// The first place where two texts part, with what stands there.
std::string parting(const std::string& expected, const std::string& found) {
  const auto at = static_cast<size_t>(std::ranges::mismatch(expected, found).in1 - expected.begin());
  const size_t from = at > 20 ? at - 20 : 0;
  return fmt::format("at byte {}: expected '{}', found '{}'", at, expected.substr(from, 60), found.substr(from, 60));
}

}  // namespace

base::Result<SamenessReport> check_sameness(const SamenessOptions& options) {
  const Folder folder;
  if (folder.path().empty()) return fail(Code::kIo, "expected a temporary folder, could not make one");
  base::set_log_level(base::LogLevel::kWarn);  // else a line a request
  const auto settings = settings_for(options.requests);
  const auto requests = all_requests();
  const auto counts = shares(settings, options.requests);

  std::vector<std::string> expected;
  {
    const Setting plain{settings.front().isa};
    TRY(const auto bench, Bench::start(options.model, plain, folder.path()));
    for (const Json& request : requests) {
      expected.push_back(bench->ask({request}, 0).front());
      if (expected.back().starts_with("no answer")) return fail(Code::kInternal, expected.back());
    }
  }
  SamenessReport report;
  report.different_prompts = static_cast<int>(requests.size());
  report.settings = static_cast<int>(settings.size());
  int at_once = 0;
  size_t next = 0;
  for (size_t s = 0; s < settings.size(); ++s) {
    TRY(const auto bench, Bench::start(options.model, settings[s], folder.path()));
    for (int left = counts[s]; left > 0;) {
      at_once = std::min(left, at_once % kMostAtOnce + 1);
      std::vector<size_t> indices;
      std::vector<Json> bodies;
      for (int i = 0; i < at_once; ++i, ++next) {
        indices.push_back(next % requests.size());
        bodies.push_back(requests[indices.back()]);
      }
      const int turn = static_cast<int>(next / requests.size());
      const auto found = bench->ask(bodies, turn);
      for (size_t i = 0; i < found.size(); ++i) {
        ++report.requests;
        if (found[i] == expected[indices[i]]) {
          ++report.same;
        } else if (report.differences.size() < kMaxDifferences) {
          report.differences.push_back(fmt::format("{}, {} at once, request {}: {}", settings[s].name(), at_once,
                                                   indices[i], parting(expected[indices[i]], found[i])));
        }
      }
      left -= at_once;
      if (options.progress) options.progress(report.requests, settings[s].name());
    }
  }
  return report;
}

}  // namespace concerto::app
