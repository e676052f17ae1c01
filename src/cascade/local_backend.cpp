#include "cascade/local_backend.h"

#include <fmt/format.h>

#include <utility>

#include "cascade/answer_stream.h"
#include "cascade/prompt.h"

namespace concerto::cascade {
namespace {

using base::Code;

// One answer under way: the engine's events become the cascade's. Called on the engine's thread, one event at a time.
class Answer {
 public:
  // The engine holds the answer, so the answer can't hold the engine; it calls back only while it lives.
  Answer(const text::Tokenizer& tokenizer, const ChatRequest& request, const Prompt& prompt, BackendSink sink,
         base::CancelToken cancel)
      : tokenizer_(tokenizer),
        stream_(request.stop, prompt.opens_think),
        top_(request.logprobs ? request.top_logprobs : 0),
        prompt_tokens_(static_cast<int>(prompt.ids.size())),
        sink_(std::move(sink)),
        cancel_(std::move(cancel)) {}

  void take(engine::Event&& event) {
    if (sink_) std::visit([this](auto&& one) { on(std::forward<decltype(one)>(one)); }, std::move(event));
  }
  void fail(base::Error error) { end(std::move(error)); }

 private:
  void on(engine::PromptEvent&& event) { cached_tokens_ = event.cached_tokens; }

  void on(engine::TokenEvent&& event) {
    if (stream_.stopped()) return;  // what the engine made before it noticed
    ++completion_tokens_;
    if (tokenizer_.is_end(event.id)) return;  // the end is not a part of what was said
    TokenInfo info;
    info.bytes = tokenizer_.token_bytes(event.id);
    info.logprob = event.logprob;
    info.margin = event.margin;
    info.entropy = event.entropy;
    for (const engine::TopLogprob& one : event.top) {
      if (static_cast<int>(info.top.size()) >= top_) break;
      info.top.push_back({std::string(tokenizer_.token_bytes(one.id)), one.logprob});
    }
    Delta delta = stream_.feed(std::move(info), !tokenizer_.is_special(event.id));
    if (stream_.stopped()) cancel_.cancel();  // the token is this attempt's own: the engine need not go on
    send(std::move(delta));
  }

  void on(engine::FinishEvent&& event) {
    const bool stopped = stream_.stopped();
    if (event.reason == engine::FinishReason::kCancelled && !stopped) {
      end(base::Error{Code::kCancelled, "cancelled", {}});
      return;
    }
    send(stream_.finish());
    End out;
    out.reason =
        event.reason == engine::FinishReason::kLength && !stopped ? FinishReason::kLength : FinishReason::kStop;
    out.usage = {prompt_tokens_, completion_tokens_, cached_tokens_};
    out.queue_ms = event.timings.queue_ms;
    out.prompt_ms = event.timings.prompt_ms;
    out.generate_ms = event.timings.generate_ms;
    out.drafted_tokens = event.drafted_tokens;
    out.accepted_tokens = event.accepted_tokens;
    end(out);
  }

  void on(base::Error&& error) { end(std::move(error)); }

  void send(Delta&& delta) {
    if (!delta.content.empty() || !delta.reasoning.empty() || !delta.tokens.empty()) sink_(std::move(delta));
  }
  void end(BackendEvent&& event) {
    if (!sink_) return;
    sink_(std::move(event));
    sink_ = nullptr;
  }

  const text::Tokenizer& tokenizer_;
  AnswerStream stream_;
  int top_;
  int prompt_tokens_;
  int cached_tokens_ = 0;
  int completion_tokens_ = 0;
  BackendSink sink_;
  base::CancelToken cancel_;
};

class LocalBackend final : public Backend {
 public:
  LocalBackend(std::string name, std::shared_ptr<engine::Engine> engine, const base::Clock& clock)
      : name_(std::move(name)),
        engine_(std::move(engine)),
        clock_(clock),
        prompts_(*engine_->chat_template(), engine_->tokenizer()),
        model_id_(engine_->model_hash()) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] Capabilities capabilities() const override {
    Capabilities out;
    out.context = engine_->context();
    out.logprobs = true;
    return out;
  }
  [[nodiscard]] base::Result<int> count_tokens(const ChatRequest& request) const override {
    TRY(const Prompt prompt, prompts_.build(request, clock_.wall_ms()));
    return static_cast<int>(prompt.ids.size());
  }
  [[nodiscard]] std::string model_id() const override { return model_id_; }

  void start(const ChatRequest& request, const Handover&, BackendSink sink, base::CancelToken cancel) override {
    auto prompt = prompts_.build(request, clock_.wall_ms());
    if (!prompt) {
      sink(std::move(prompt).error());
      return;
    }
    engine::Request work;
    work.max_tokens = request.max_tokens.value_or(-1);
    work.sampling = merge_sampling(request, engine_->default_sampling());
    work.top_logprobs = request.logprobs ? request.top_logprobs : 0;
    work.cache_salt = request.tenant + "\n" + request.cache_salt;
    const auto answer = std::make_shared<Answer>(engine_->tokenizer(), request, *prompt, std::move(sink), cancel);
    work.prompt = std::move(prompt->ids);
    const base::Status taken =
        engine_->submit(std::move(work), [answer](engine::Event&& event) { answer->take(std::move(event)); }, cancel);
    if (!taken) answer->fail(taken.error());
  }

 private:
  std::string name_;
  std::shared_ptr<engine::Engine> engine_;
  const base::Clock& clock_;
  PromptBuilder prompts_;
  std::string model_id_;
};

}  // namespace

engine::SamplingParams merge_sampling(const ChatRequest& request, engine::SamplingParams out) {
  out.temperature = request.temperature.value_or(out.temperature);
  out.top_k = request.top_k.value_or(out.top_k);
  out.top_p = request.top_p.value_or(out.top_p);
  out.min_p = request.min_p.value_or(out.min_p);
  out.repeat_penalty = request.repeat_penalty.value_or(out.repeat_penalty);
  out.repeat_last_n = request.repeat_last_n.value_or(out.repeat_last_n);
  out.presence_penalty = request.presence_penalty.value_or(out.presence_penalty);
  out.frequency_penalty = request.frequency_penalty.value_or(out.frequency_penalty);
  out.logit_bias = request.logit_bias;
  out.seed = request.seed.value_or(out.seed);
  out.choice = request.choice;
  return out;
}

base::Result<std::shared_ptr<Backend>> make_local_backend(std::string name, std::shared_ptr<engine::Engine> engine,
                                                          const base::Clock& clock) {
  if (engine->chat_template() == nullptr) {
    return base::fail(Code::kUnsupported,
                      fmt::format("tier {}: expected a model with a chat template, found {} without: it can complete "
                                  "text, not chat",
                                  name, engine->config().name));
  }
  return std::shared_ptr<Backend>(std::make_shared<LocalBackend>(std::move(name), std::move(engine), clock));
}

}  // namespace concerto::cascade
