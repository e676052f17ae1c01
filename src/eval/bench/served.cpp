#include "eval/bench/served.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "eval/bench/child.h"
#include "net/http_client.h"
#include "net/sse_parser.h"

namespace concerto::eval {
namespace {

using base::Code;
using base::fail;
using nlohmann::json;

constexpr int kReadyPolls = 6000;  // of 20 ms
constexpr int kStreamWarm = 8;     // texts of the running stream before the long prompt arrives
constexpr int kStreamTokens = 1000;

double now_s() { return static_cast<double>(base::system_clock().now_ns()) * 1e-9; }

// One that is free now; nobody else here listens on ports by chance.
int free_port() {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  int port = 0;
  if (::bind(s, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      ::getsockname(s, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  ::close(s);
  return port;
}

// An answer on its way: when each text of it came.
class Stream {
 public:
  void feed(std::string_view bytes) {
    std::vector<net::SseEvent> events;
    const bool good = parser_.feed(bytes, &events).has_value();
    const std::lock_guard lock(mutex_);
    if (!good || bytes.starts_with('{')) error_ = std::string(bytes.substr(0, 300));
    for (const net::SseEvent& event : events) {
      const json chunk = json::parse(event.data, nullptr, false);
      if (!chunk.is_object()) continue;
      if (chunk.contains("error")) error_ = event.data.substr(0, 300);
      if (!chunk.contains("choices") || chunk["choices"].empty()) continue;
      const json& delta = chunk["choices"][0]["delta"];
      if (delta.contains("content") && delta["content"].is_string() && !delta["content"].get<std::string>().empty()) {
        times_.push_back(now_s());
      }
    }
    changed_.notify_all();
  }
  void end(const base::Status& status) {
    const std::lock_guard lock(mutex_);
    if (!status && status.error().code != Code::kCancelled) error_ = status.error().message;
    ended_ = now_s();
    changed_.notify_all();
  }
  // Until it has so many texts, or has ended.
  void wait_texts(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return times_.size() >= count || ended_ > 0; });
  }
  base::Result<double> wait_end() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ > 0; });
    if (!error_.empty()) return fail(Code::kUpstream, "an answer: " + error_);
    return ended_;
  }
  [[nodiscard]] bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_ > 0;
  }
  // The longest time without a text between two moments.
  double longest_gap(double from, double to) {
    const std::lock_guard lock(mutex_);
    double longest = 0;
    double last = from;
    for (const double t : times_) {
      if (t < from || t > to) continue;
      longest = std::max(longest, t - last);
      last = t;
    }
    return std::max(longest, to - last);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  net::SseParser parser_;
  std::vector<double> times_;
  double ended_ = 0;
  std::string error_;
};

struct Question {
  std::string text;
  int max_tokens = 1;
  uint64_t seed = 0;
  double temperature = 0;
};

class ServerRun {
 public:
  ServerRun(const Contender& contender, const Shape& shape, const std::string& model, int threads, std::string folder,
            double seconds_allowed)
      : port_(free_port()), folder_(std::move(folder)) {
    argv_ = server_command(contender, shape, model, threads, port_);
    if (contender.kind == ContenderKind::kConcerto) {
      std::ofstream(folder_ + "/concerto.toml") << fmt::format(
          "[[tier]]\nname = \"model\"\nkind = \"local\"\nmodel = {}\ncontext = {}\n[store]\npath = \"db\"\n",
          json(model).dump(), server_context(shape));
    }
    thread_ = std::thread([this, seconds_allowed] {
      auto run = run_child(argv_, folder_, {"GGML_NO_BACKTRACE=1", "LLAMA_NO_BACKTRACE=1"}, seconds_allowed, &stop_);
      const std::lock_guard lock(mutex_);
      run_ = std::move(run);
    });
  }
  ~ServerRun() {
    client_.reset();
    stop_.cancel();
    thread_.join();
  }
  ServerRun(const ServerRun&) = delete;
  ServerRun& operator=(const ServerRun&) = delete;

  base::Status wait_ready() {
    TRY(client_, net::HttpClient::open());
    for (int i = 0; i < kReadyPolls; ++i) {
      {
        const std::lock_guard lock(mutex_);
        if (run_) {
          return fail(Code::kUpstream, "the server ended before it was ready\n" +
                                           (*run_ ? telling_lines((*run_)->err, 4) : (*run_).error().message));
        }
      }
      net::ClientRequest health;
      health.method = "GET";
      health.url = fmt::format("http://127.0.0.1:{}/health", port_);
      const auto response = client_->fetch(std::move(health));
      if (response && response->status == 200) return {};
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return fail(Code::kTimeout, "the server was not ready within two minutes");
  }

  std::shared_ptr<Stream> ask(const Question& question, const base::CancelToken& cancel = {}) {
    const json body = {{"model", "model"},
                       {"stream", true},
                       {"temperature", question.temperature},
                       {"seed", question.seed},
                       {"max_tokens", question.max_tokens},
                       {"messages", {{{"role", "user"}, {"content", question.text}}}}};
    auto stream = std::make_shared<Stream>();
    net::ClientRequest request;
    request.url = fmt::format("http://127.0.0.1:{}/v1/chat/completions", port_);
    request.headers = {{"Content-Type", "application/json"}};
    request.body = body.dump();
    request.idle_timeout_ms = 0;
    net::ClientHandler handler;
    handler.on_body = [stream](std::string_view bytes) {
      stream->feed(bytes);
      return true;
    };
    handler.on_done = [stream](const base::Status& status) { stream->end(status); };
    client_->start(std::move(request), std::move(handler), cancel);
    return stream;
  }
  // Seconds until all of them are answered.
  base::Result<double> time(const std::vector<Question>& questions) {
    const double start = now_s();
    std::vector<std::shared_ptr<Stream>> streams;
    streams.reserve(questions.size());
    for (const Question& one : questions) streams.push_back(ask(one));
    double last = start;
    for (const auto& stream : streams) {
      TRY(const double ended, stream->wait_end());
      last = std::max(last, ended);
    }
    return last - start;
  }

  [[nodiscard]] const std::vector<std::string>& argv() const { return argv_; }

 private:
  int port_;
  std::string folder_;
  std::vector<std::string> argv_;
  base::CancelToken stop_;
  std::thread thread_;
  std::unique_ptr<net::HttpClient> client_;
  std::mutex mutex_;
  std::optional<base::Result<ChildRun>> run_;  // guarded by mutex_ until the thread has ended
};

base::Result<ServedFigures> prefix(ServerRun& server, int tokens) {
  const std::string text = words_of(tokens, 1);
  TRY(const double cold, server.time({{text + "\nHow many words are these?"}}));
  TRY(const double warm, server.time({{text + "\n" + words_of(16, 2) +
                                       "\nWhich of these words is the longest one, and why do you think so?"}}));
  return ServedFigures{warm, warm / cold * 100};
}

base::Result<ServedFigures> fork(ServerRun& server, int answers) {
  std::vector<Question> apart;
  std::vector<Question> together;
  for (int i = 0; i < answers; ++i) {
    const auto seed = static_cast<uint64_t>(i) + 1;
    apart.push_back({words_of(kForkPrompt, seed + 10) + "\nWrite a story with these words.", kForkTokens, seed, 0.8});
    together.push_back({words_of(kForkPrompt, 1) + "\nWrite a story with these words.", kForkTokens, seed, 0.8});
  }
  TRY(const double of_prompts, server.time(apart));
  TRY(const double of_one, server.time(together));
  return ServedFigures{of_one, of_prompts / of_one};
}

base::Result<ServedFigures> gap(ServerRun& server, int tokens) {
  const base::CancelToken stop;
  const auto running = server.ask({"Count from 1 to 1000, one number a line.", kStreamTokens}, stop);
  running->wait_texts(kStreamWarm);
  const double from = now_s();
  const auto late = server.ask({words_of(tokens, 3) + "\nWhich word is the longest one?"});
  TRY(const double to, late->wait_end());
  const bool ran = !running->ended();
  stop.cancel();
  if (!ran) return fail(Code::kUpstream, "the running stream ended before the prompt beside it was computed");
  return ServedFigures{running->longest_gap(from, to), 0};
}

}  // namespace

std::string words_of(int tokens, uint64_t seed) {
  // Each is one token, with the space before it, in the vocabularies of Qwen and SmolLM.
  constexpr std::array<const char*, 48> kWords = {
      "house", "water", "light", "stone", "river", "bread", "green", "table", "paper", "night", "horse", "cloud",
      "music", "glass", "heart", "world", "small", "white", "black", "three", "seven", "young", "quick", "early",
      "north", "south", "plant", "metal", "sugar", "train", "money", "woman", "child", "voice", "point", "field",
      "earth", "river", "story", "chair", "dream", "sound", "dance", "fruit", "ocean", "smile", "sleep", "cold"};
  std::string text;
  uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (int i = 0; i < tokens; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    text += (i == 0 ? "" : " ") + std::string(kWords[(state >> 33) % kWords.size()]);
  }
  return text;
}

base::Result<ServedFigures> measure_served(const Contender& contender, const Shape& shape, const std::string& model,
                                           int threads, const std::string& folder, double seconds_allowed,
                                           std::string* command) {
  ServerRun server(contender, shape, model, threads, folder, seconds_allowed);
  *command = shell_words(server.argv());
  TRY_STATUS(server.wait_ready());
  // The first request of a server pays for pages and buffers that were never touched.
  if (const auto warm = server.time({{"Hello!"}}); !warm) return tl::make_unexpected(warm.error());
  if (shape.work == Work::kPrefix) return prefix(server, shape.count);
  if (shape.work == Work::kFork) return fork(server, shape.count);
  return gap(server, shape.count);
}

}  // namespace concerto::eval
