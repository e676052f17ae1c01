#include "cascade/upstream_backend.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <utility>
#include <vector>

#include "cascade/upstream_wire.h"
#include "net/sse_parser.h"

namespace concerto::cascade {
namespace {

using base::Code;
using base::Error;

constexpr size_t kMaxErrorBody = size_t{64} << 10;
constexpr size_t kMaxEventBytes = size_t{1} << 20;
constexpr size_t kMaxWholeBody = size_t{16} << 20;  // an answer that did not stream

Code code_of_status(int status, std::string_view words) {
  if (status == 429) return Code::kBusy;
  if (status == 503) return Code::kUnavailable;
  if (status == 408 || status == 504) return Code::kTimeout;
  if (status == 413) return Code::kTooLarge;
  if (status == 400 || status == 422) {
    // There is no status for it; these words are OpenAI's, vLLM's and llama.cpp's.
    for (const std::string_view sign : {"context_length", "context length", "context size", "maximum context"}) {
      if (words.find(sign) != std::string_view::npos) return Code::kContextLength;
    }
    return Code::kInvalidArgument;
  }
  return Code::kUpstream;  // a refused key and an unknown model too: the operator's, not the client's
}

// One answer under way. Called on the HTTP client's thread.
class Exchange {
 public:
  Exchange(const UpstreamOptions& options, BackendSink sink)
      : options_(options), sink_(std::move(sink)), parser_(kMaxEventBytes) {}

  void on_head(const net::ClientHead& head) {
    status_ = head.status;
    const std::string* type = head.headers.find("Content-Type");
    streams_ = type == nullptr || type->find("json") == std::string::npos;
  }

  bool on_body(std::string_view bytes) {
    if (over_) return false;
    if (status_ != 200 || !streams_) {
      const size_t limit = status_ == 200 ? kMaxWholeBody : kMaxErrorBody;
      if (body_.size() + bytes.size() > limit) {
        cut_ = true;
        return false;
      }
      body_.append(bytes);
      return true;
    }
    std::vector<net::SseEvent> events;
    const base::Status parsed = parser_.feed(bytes, &events);
    for (const net::SseEvent& event : events) {
      take_event(event.data);
      if (over_) return false;
    }
    if (!parsed) {
      fail(Code::kUpstream, parsed.error().message);
      return false;
    }
    return true;
  }

  void on_done(const base::Status& done) {
    if (over_) return;
    if (cut_ && status_ == 200) {
      fail(Code::kUpstream, fmt::format("expected an answer of at most {} bytes, found a longer one", kMaxWholeBody));
      return;
    }
    if (!done && !cut_) {
      fail(done.error().code, done.error().message);
      return;
    }
    if (status_ != 200) {
      const std::string words = without_key(upstream_error_text(body_));
      fail(code_of_status(status_, words + body_),
           fmt::format("status {}{}{}", status_, status_ >= 300 && status_ < 400 ? ": redirects are not followed" : "",
                       words.empty() ? "" : ": " + words));
      return;
    }
    if (!streams_) take_event(body_);
    if (!over_) end();
  }

 private:
  void take_event(std::string_view data) {
    if (data == "[DONE]") {
      done_seen_ = true;
      end();
      return;
    }
    auto chunk = read_upstream_chunk(data);
    if (!chunk) {
      fail(chunk.error().code, chunk.error().message);
      return;
    }
    if (chunk->error) {
      fail(Code::kUpstream, fmt::format("an error in its stream: {}", without_key(*chunk->error)));
      return;
    }
    if (chunk->usage) usage_ = *chunk->usage;
    if (chunk->finish) finish_ = chunk->finish;
    Delta& delta = chunk->delta;
    if (!delta.content.empty() || !delta.reasoning.empty() || !delta.tokens.empty()) sink_(std::move(delta));
  }

  void end() {
    if (!finish_) {
      fail(Code::kUpstream, done_seen_ ? "ended its stream without a finish_reason" : "broke its stream off");
      return;
    }
    End out;
    out.reason = *finish_;
    out.usage = usage_;
    over_ = true;
    sink_(out);
    sink_ = nullptr;
  }

  void fail(Code code, std::string_view what) {
    over_ = true;
    sink_(Error{code, fmt::format("upstream {}: {}", options_.name, what), {}});
    sink_ = nullptr;
  }

  // Some servers repeat the key in their error.
  [[nodiscard]] std::string without_key(std::string text) const {
    const std::string& key = options_.api_key;
    for (size_t at = 0; !key.empty() && (at = text.find(key, at)) != std::string::npos; at += 3) {
      text.replace(at, key.size(), "***");
    }
    return text;
  }

  const UpstreamOptions options_;  // a copy: the backend may go first
  BackendSink sink_;
  net::SseParser parser_;
  int status_ = 0;
  bool streams_ = true;
  bool cut_ = false;  // the body was longer than we read
  bool done_seen_ = false;
  bool over_ = false;
  std::string body_;
  std::optional<FinishReason> finish_;
  Usage usage_;
};

class UpstreamBackend final : public Backend {
 public:
  UpstreamBackend(UpstreamOptions options, net::HttpClient& client) : options_(std::move(options)), client_(client) {}

  [[nodiscard]] const std::string& name() const override { return options_.name; }
  [[nodiscard]] Capabilities capabilities() const override {
    Capabilities out;
    out.context = options_.context;
    out.logprobs = options_.logprobs;
    return out;
  }
  [[nodiscard]] base::Result<int> count_tokens(const ChatRequest&) const override {
    return base::fail(Code::kUnsupported, "an upstream counts its own tokens");
  }
  [[nodiscard]] std::string model_id() const override { return options_.model; }

  void start(const ChatRequest& request, const Handover&, BackendSink sink, base::CancelToken cancel) override {
    net::ClientRequest call;
    call.url = options_.base_url + "/chat/completions";
    call.headers = {{"Content-Type", "application/json"}, {"Accept", "text/event-stream"}};
    if (!options_.api_key.empty()) call.headers.add("Authorization", "Bearer " + options_.api_key);
    call.body = upstream_body(request, options_.model, options_.logprobs);
    call.connect_timeout_ms = options_.connect_timeout_ms;
    call.idle_timeout_ms = options_.idle_timeout_ms;
    call.ca_file = options_.ca_file;
    const auto exchange = std::make_shared<Exchange>(options_, std::move(sink));
    client_.start(std::move(call),
                  {[exchange](const net::ClientHead& head) { exchange->on_head(head); },
                   [exchange](std::string_view bytes) { return exchange->on_body(bytes); },
                   [exchange](const base::Status& done) { exchange->on_done(done); }},
                  std::move(cancel));
  }

 private:
  const UpstreamOptions options_;
  net::HttpClient& client_;
};

}  // namespace

base::Result<std::shared_ptr<Backend>> make_upstream_backend(UpstreamOptions options, net::HttpClient& client) {
  const auto wrong = [&](std::string_view option, std::string_view expected) {
    return base::fail(Code::kInvalidArgument, fmt::format("tier {}: {}: expected {}", options.name, option, expected),
                      std::string(option));
  };
  if (options.name.empty()) return wrong("name", "a name");
  if (!options.base_url.starts_with("http://") && !options.base_url.starts_with("https://")) {
    return wrong("base_url", "a URL like https://host/v1, found '" + options.base_url + "'");
  }
  while (options.base_url.ends_with('/')) options.base_url.pop_back();
  if (options.model.empty()) return wrong("model", "the name that the upstream knows the model by");
  if (options.api_key.find_first_of("\r\n") != std::string::npos) return wrong("api_key", "one line");
  if (options.context < 0) return wrong("context", "0 (unknown) or more tokens");
  return std::shared_ptr<Backend>(std::make_shared<UpstreamBackend>(std::move(options), client));
}

base::Result<std::string> read_api_key(const std::string& env, const std::string& file) {
  if (!env.empty()) {
    const char* value = std::getenv(env.c_str());
    if (value != nullptr && *value != '\0') return std::string(value);
    if (file.empty()) {
      return base::fail(Code::kNotFound, fmt::format("environment: expected an API key in {}, found nothing", env));
    }
  }
  if (file.empty()) return std::string();
  std::ifstream in(file);
  if (!in) return base::fail(Code::kIo, fmt::format("{}: expected a file with an API key, can't read it", file));
  std::string line;
  std::getline(in, line);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.pop_back();
  if (line.empty())
    return base::fail(Code::kNotFound, fmt::format("{}: expected an API key, found an empty line", file));
  return line;
}

}  // namespace concerto::cascade
