// POST /v1/chat/completions.
//
// Nothing is sent before the cascade commits (its Decision), so an error until then is a plain HTTP error and the
// headers can say who answers. After that a stream is an event stream: role, deltas, finish, usage, [DONE]; or an error
// event.
#include <fmt/format.h>

#include <algorithm>

#include "api/endpoints/endpoints.h"
#include "api/error_map.h"
#include "api/wire/chat_request.h"
#include "api/wire/responses.h"
#include "net/percent.h"

namespace concerto::api {
namespace {

using cascade::CascadeEnd;
using cascade::Decision;
using cascade::Delta;

constexpr size_t kMaxHeaderValue = 1024;

// One request from parse to last byte. Events arrive one at a time, in order, on any thread.
class ChatSession {
 public:
  ChatSession(const Context& context, const ChatCall& call, const std::string& request_id, net::Writer writer)
      : metrics_(context.metrics),
        clock_(context.clock),
        writer_(std::move(writer)),
        request_id_(request_id),
        stream_(call.request.stream),
        start_ns_(clock_->now_ns()) {
    head_.id = call.request.id;
    head_.model = call.model;
    head_.created = clock_->wall_ms() / 1000;
    head_.logprobs = call.request.logprobs;
    head_.top_logprobs = call.request.top_logprobs;
    head_.include_usage = call.include_usage;
    for (const auto& name : call.ignored) {
      std::string next = net::percent_encode_header(name);
      if (ignored_.size() + next.size() + 2 > kMaxHeaderValue) break;
      ignored_ += (ignored_.empty() ? "" : ", ") + std::move(next);
    }
    metrics_->chat_started();
  }
  ~ChatSession() { metrics_->chat_ended(); }
  ChatSession(const ChatSession&) = delete;
  ChatSession& operator=(const ChatSession&) = delete;

  void take(cascade::CascadeEvent&& event) {
    if (over_) return;
    std::visit([this](auto&& one) { on(std::forward<decltype(one)>(one)); }, std::move(event));
  }

 private:
  void on(Decision&& decision) {
    decision_ = std::move(decision);
    if (stream_) begin_stream();
  }

  void on(Delta&& delta) {
    if (!has_first_ && (!delta.content.empty() || !delta.reasoning.empty())) {
      has_first_ = true;
      first_ns_ = clock_->now_ns();
    }
    if (!stream_) {
      whole_.content += delta.content;
      whole_.reasoning += delta.reasoning;
      std::move(delta.tokens.begin(), delta.tokens.end(), std::back_inserter(whole_.tokens));
      return;
    }
    begin_stream();
    reasoning_tokens_ += static_cast<int>(
        std::count_if(delta.tokens.begin(), delta.tokens.end(), [](const auto& token) { return token.thinking; }));
    const bool has_text = !delta.content.empty() || !delta.reasoning.empty();
    if (has_text || (head_.logprobs && !delta.tokens.empty())) send_event(delta_chunk(head_, delta));
  }

  void on(CascadeEnd&& end) {
    over_ = true;
    decision_ = end.decision;
    if (stream_) {
      begin_stream();
      send_event(finish_chunk(head_, end, reasoning_tokens_));
      if (head_.include_usage) send_event(usage_chunk(head_, end, reasoning_tokens_));
      send_event("[DONE]");
      writer_->end();
    } else {
      writer_->send({200, headers("application/json"), completion_body(head_, whole_, end)});
    }
    record(200, end.end.usage);
    writer_.reset();
  }

  void on(base::Error&& error) {
    over_ = true;
    if (begun_) {
      writer_->write("event: error\ndata: " + error_body(error) + "\n\n");
      writer_->end();
    } else {
      const bool no_model = error.code == base::Code::kNotFound && error.param == "model";
      net::HttpResponse response = error_response(error, no_model ? "model_not_found" : "");
      response.headers.set("X-Request-Id", request_id_);
      if (!ignored_.empty()) response.headers.set("x-ignored-params", ignored_);
      writer_->send(response);
    }
    record(error_kind(error.code).status, {});
    writer_.reset();
  }

  void begin_stream() {
    if (begun_) return;
    begun_ = true;
    net::HttpHeaders fields = headers("text/event-stream; charset=utf-8");
    fields.set("Cache-Control", "no-cache, no-transform");
    fields.set("X-Accel-Buffering", "no");
    writer_->begin_stream(200, std::move(fields), {": ping\n\n"});
    send_event(role_chunk(head_));
  }

  void send_event(const std::string& data) { writer_->write("data: " + data + "\n\n"); }

  [[nodiscard]] net::HttpHeaders headers(std::string content_type) const {
    net::HttpHeaders fields = {{"Content-Type", std::move(content_type)},
                               {"Cache-Control", "no-store"},
                               {"X-Content-Type-Options", "nosniff"},
                               {"X-Request-Id", request_id_}};
    const auto add = [&](const char* name, std::string_view value) {
      if (!value.empty()) fields.add(name, net::percent_encode_header(value).substr(0, kMaxHeaderValue));
    };
    add("x-concerto-tier", decision_.tier);
    add("x-concerto-reason", decision_.reason);
    if (decision_.confidence) fields.add("x-concerto-confidence", fmt::format("{:.4f}", *decision_.confidence));
    add("x-concerto-case", decision_.case_id);
    if (!ignored_.empty()) fields.add("x-ignored-params", ignored_);
    return fields;
  }

  void record(int status, const cascade::Usage& usage) {
    const auto seconds = [&](int64_t ns) { return static_cast<double>(ns - start_ns_) / 1e9; };
    metrics_->count_chat({decision_.tier, decision_.reason, writer_->gone() ? 499 : status, has_first_,
                          seconds(first_ns_), seconds(clock_->now_ns()), usage});
  }

  std::shared_ptr<Metrics> metrics_;
  const base::Clock* clock_;
  net::Writer writer_;
  std::string request_id_;
  bool stream_;
  int64_t start_ns_;
  CompletionHead head_;
  std::string ignored_;
  Decision decision_;
  Delta whole_;  // without stream: everything so far
  int reasoning_tokens_ = 0;
  int64_t first_ns_ = 0;
  bool has_first_ = false;
  bool begun_ = false;
  bool over_ = false;
};

}  // namespace

void chat_completions(const Context& context, net::HttpRequest&& request, net::Writer writer) {
  if (auto refusal = refuse_body_type(request)) {
    writer->send(*refusal);
    return;
  }
  auto call = parse_chat_request(request.body);
  if (!call) {
    writer->send(error_for(request, call.error()));
    return;
  }
  request.body.clear();
  request.body.shrink_to_fit();
  call->request.id = random_id("chatcmpl-");
  const base::CancelToken cancel = writer->cancel_token();
  auto session = std::make_shared<ChatSession>(context, *call, request_id_of(request), std::move(writer));
  context.service->chat(
      std::move(call->request), call->model,
      [session](cascade::CascadeEvent&& event) { session->take(std::move(event)); }, cancel);
}

}  // namespace concerto::api
