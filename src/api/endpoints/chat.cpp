// POST /v1/chat/completions.
//
// Nothing is sent before the cascade commits (its Decision), so an error until then is a plain HTTP error and the
// headers can say who answers. After that a stream is an event stream: role, deltas, finish, usage, [DONE]; or an error
// event.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

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

// One request from parse to last byte. The events of a choice arrive one at a time, in order, on any thread; those of
// several choices at once.
//
// n > 1: the first choice is routed like a request of its own; once it is known who answers it, that tier is asked for
// the others too, which find the prompt computed or on its way. A case is answered once, by a person: one choice.
class ChatSession : public std::enable_shared_from_this<ChatSession> {
 public:
  ChatSession(const Context& context, const ChatCall& call, const net::HttpRequest& request, net::Writer writer)
      : service_(context.service),
        metrics_(context.metrics),
        clock_(context.clock),
        writer_(std::move(writer)),
        cancel_(writer_->cancel_token()),
        request_id_(request_id_of(request)),
        stream_(call.request.stream),
        wanted_(call.n),
        start_ns_(clock_->now_ns()),
        choices_(1) {
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
    if (wanted_ > 1) others_ = call.request;
    metrics_->chat_started();
  }
  ~ChatSession() { metrics_->chat_ended(); }
  ChatSession(const ChatSession&) = delete;
  ChatSession& operator=(const ChatSession&) = delete;

  void ask(cascade::ChatRequest request, std::string_view model) {
    const size_t index = request.choice;
    service_->chat(
        std::move(request), model,
        [self = shared_from_this(), index](cascade::CascadeEvent&& event) { self->take(index, std::move(event)); },
        cancel_);
  }

 private:
  void take(size_t index, cascade::CascadeEvent&& event) {
    std::string tier;  // to be asked for the other choices
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;
      const bool decides = index == 0 && std::holds_alternative<Decision>(event);
      std::visit([&](auto&& one) { on(index, std::forward<decltype(one)>(one)); }, std::move(event));
      if (decides && wanted_ > 1 && decision_.case_id.empty()) {
        choices_.resize(static_cast<size_t>(wanted_));
        tier = decision_.tier;
      }
    }
    if (tier.empty()) return;
    for (uint32_t choice = 1; choice < static_cast<uint32_t>(wanted_); ++choice) {
      cascade::ChatRequest other = others_;
      other.choice = choice;
      ask(std::move(other), tier);
    }
  }

  // All below with the lock held.
  void on(size_t index, Decision&& decision) {
    if (index > 0) return;
    decision_ = std::move(decision);
    if (stream_) begin_stream();
  }

  void on(size_t index, Delta&& delta) {
    if (!has_first_ && (!delta.content.empty() || !delta.reasoning.empty())) {
      has_first_ = true;
      first_ns_ = clock_->now_ns();
    }
    Choice& choice = choices_[index];
    choice.reasoning_tokens += static_cast<int>(
        std::count_if(delta.tokens.begin(), delta.tokens.end(), [](const auto& token) { return token.thinking; }));
    if (!stream_) {
      choice.whole.content += delta.content;
      choice.whole.reasoning += delta.reasoning;
      std::move(delta.tokens.begin(), delta.tokens.end(), std::back_inserter(choice.whole.tokens));
      return;
    }
    begin_choice(index);
    const bool has_text = !delta.content.empty() || !delta.reasoning.empty();
    if (has_text || (head_.logprobs && !delta.tokens.empty())) {
      send_event(delta_chunk(head_, static_cast<int>(index), delta));
    }
  }

  void on(size_t index, CascadeEnd&& end) {
    if (index == 0) decision_ = end.decision;
    choices_[index].end = std::move(end);
    if (stream_) {
      begin_choice(index);
      send_event(finish_chunk(head_, static_cast<int>(index), choices_[index]));
    }
    if (++ended_ < choices_.size()) return;
    over_ = true;
    if (stream_) {
      if (head_.include_usage) send_event(usage_chunk(head_, choices_));
      send_event("[DONE]");
      writer_->end();
    } else {
      writer_->send({200, headers("application/json"), completion_body(head_, choices_)});
    }
    record(200, usage_of(choices_));
    writer_.reset();
  }

  // Of any choice: a part of the answers would look like all of them.
  void on(size_t, base::Error&& error) {
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
    cancel_.cancel();  // the other choices
  }

  void begin_stream() {
    if (begun_) return;
    begun_ = true;
    net::HttpHeaders fields = headers("text/event-stream; charset=utf-8");
    fields.set("Cache-Control", "no-cache, no-transform");
    fields.set("X-Accel-Buffering", "no");
    writer_->begin_stream(200, std::move(fields), {": ping\n\n"});
    begin_choice(0);
  }

  void begin_choice(size_t index) {
    begin_stream();
    if (begun_choices_.size() < choices_.size()) begun_choices_.resize(choices_.size());
    if (begun_choices_[index]) return;
    begun_choices_[index] = true;
    send_event(role_chunk(head_, static_cast<int>(index)));
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

  Service* service_;
  std::shared_ptr<Metrics> metrics_;
  const base::Clock* clock_;
  net::Writer writer_;
  base::CancelToken cancel_;
  std::string request_id_;
  bool stream_;
  int wanted_;
  int64_t start_ns_;
  CompletionHead head_;
  std::string ignored_;
  cascade::ChatRequest others_;  // what the choices after the first are asked with

  std::mutex mutex_;
  // Everything below is guarded by mutex_.
  Decision decision_;            // of the first choice
  std::vector<Choice> choices_;  // the first alone until it is known who answers
  std::vector<bool> begun_choices_;
  size_t ended_ = 0;
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
  if (const std::string* key = request.headers.find("Authorization")) call->request.tenant = Keys::tenant_of(*key);
  auto session = std::make_shared<ChatSession>(context, *call, request, std::move(writer));
  session->ask(std::move(call->request), call->model);
}

}  // namespace concerto::api
