#include "cascade/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cascade/confidence.h"

namespace concerto::cascade {
namespace {

using base::Code;
using base::Error;

// How long a client may be gone before its tier is told. A cancel token can't call back, so it is looked at.
constexpr int64_t kCancelPollMs = 50;

double ms_between(int64_t from_ns, int64_t to_ns) { return static_cast<double>(to_ns - from_ns) / 1e6; }

// Keywords count in what the user said since the last answer.
std::string keyword_in(const ChatRequest& request, const KeywordMatcher& matcher) {
  for (size_t i = request.messages.size(); i-- > 0;) {
    const ChatMessage& message = request.messages[i];
    if (message.role == "assistant") break;
    if (message.role != "user") continue;
    if (const auto hit = matcher.find(message.content)) return hit->keyword;
  }
  return {};
}

// The numbers of a token, without its bytes: all that confidence looks at.
TokenInfo numbers_of(const TokenInfo& token) {
  TokenInfo out;
  out.logprob = token.logprob;
  out.margin = token.margin;
  out.entropy = token.entropy;
  out.thinking = token.thinking;
  return out;
}

}  // namespace

// Lives as long as some copy of a tier's sink.
struct Run::SinkGuard {
  SinkGuard(std::shared_ptr<Run> of, int number) : run(std::move(of)), generation(number) {}
  ~SinkGuard() { run->post(Dropped{generation}); }
  SinkGuard(const SinkGuard&) = delete;
  SinkGuard& operator=(const SinkGuard&) = delete;
  const std::shared_ptr<Run> run;
  const int generation;
};

Run::Run(std::shared_ptr<Core> core, ChatRequest request, CascadeSink sink, base::CancelToken cancel, int forced)
    : core_(std::move(core)),
      request_(std::move(request)),
      sink_(std::move(sink)),
      client_(std::move(cancel)),
      forced_(forced),
      start_ns_(core_->clock.now_ns()) {}

Run::~Run() {
  // Only when the timers were destroyed between two tiers.
  if (!over_) sink_(Error{Code::kUnavailable, "the server is shutting down", {}});
}

void Run::begin() { post(Begin{}); }

void Run::post(Item item) {
  const auto self = shared_from_this();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(item));
    if (draining_) return;
    draining_ = true;
  }
  for (;;) {
    std::optional<Item> next;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) {
        draining_ = false;
        return;
      }
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    if (over_) continue;
    if (client_.cancelled()) {
      finish(Error{Code::kCancelled, "the client left", {}});
      continue;
    }
    std::visit([this](auto&& one) { handle(std::forward<decltype(one)>(one)); }, *std::move(next));
  }
}

void Run::ask_timer(int64_t ms, Item item) {
  core_->timers.after(ms, [weak = weak_from_this(), item = std::move(item)]() mutable {
    if (const auto self = weak.lock()) self->post(std::move(item));
  });
}

void Run::handle(Begin) {
  work_out_needs();
  ask_timer(kCancelPollMs, CheckCancel{});
  next_tier();
}

void Run::handle(Next) { next_tier(); }

// post() looked at the token already.
void Run::handle(CheckCancel) {
  if (!core_->closing) ask_timer(kCancelPollMs, CheckCancel{});
}

void Run::handle(FromTier item) {
  if (!active_ || item.generation != generation_) return;
  first_seen_ = true;
  std::visit([this](auto&& one) { take(std::forward<decltype(one)>(one)); }, std::move(item.event));
}

void Run::handle(TimedOut item) {
  if (!active_ || item.generation != generation_ || (item.first_event && first_seen_)) return;
  const Tier& tier = core_->tiers[current_];
  take(Error{Code::kTimeout,
             item.first_event ? fmt::format("tier {}: expected a first word within {} ms, found none",
                                            tier.backend->name(), tier.first_event_ms)
                              : fmt::format("tier {}: expected the whole answer within {} ms, found it unfinished",
                                            tier.backend->name(), tier.timeout_ms),
             {}});
}

void Run::handle(Dropped item) {
  if (!active_ || item.generation != generation_) return;
  take(
      Error{Code::kInternal, fmt::format("tier {}: ended without an end", core_->tiers[current_].backend->name()), {}});
}

void Run::work_out_needs() {
  fits_.resize(core_->tiers.size());
  if (forced_ >= 0) {
    next_ = static_cast<size_t>(forced_);
    fits_[next_] = fit(request_, *core_->tiers[next_].backend);
    return;
  }
  keyword_ = keyword_in(request_, core_->keywords);
  // All at once and here: later steps run on an engine's thread, and a tier may only be told to convince when there is
  // one behind it that could take the request.
  for (size_t i = 0; i < fits_.size(); ++i) {
    if (i == 0 && !keyword_.empty() && fits_.size() > 1) continue;
    fits_[i] = fit(request_, *core_->tiers[i].backend);
  }
}

bool Run::has_tier_behind(size_t index) const {
  if (forced_ >= 0) return false;
  for (size_t i = index + 1; i < fits_.size(); ++i) {
    if (!fits_[i].lack) return true;
  }
  return false;
}

void Run::record_skip(size_t index, std::string outcome, std::string reason) {
  Attempt attempt;
  attempt.tier = core_->tiers[index].backend->name();
  attempt.outcome = outcome;
  decision_.attempts.push_back(attempt);
  decision_.reason = std::move(reason);
  if (outcome != "skipped:keyword") return;
  drafts_.push_back({attempt.tier, std::move(outcome), {}, {}, std::nullopt, {}});
}

void Run::next_tier() {
  const size_t end = forced_ >= 0 ? static_cast<size_t>(forced_) + 1 : core_->tiers.size();
  while (next_ < end) {
    const size_t index = next_++;
    const Backend& backend = *core_->tiers[index].backend;
    const bool person = backend.capabilities().person;
    if (index == 0 && !keyword_.empty() && end > 1 && !person) {
      record_skip(index, "skipped:keyword", "keyword:" + keyword_);
      continue;
    }
    if (const auto& lack = fits_[index].lack) {
      const std::string& outcome = lack->outcome;
      const bool skipped = outcome.starts_with("skipped:");
      record_skip(index, outcome, skipped ? "needs:" + outcome.substr(outcome.find(':') + 1) : outcome);
      errors_.emplace_back(backend.name(), lack->error);
      continue;
    }
    // A max_tokens beyond every machine's context is a slip of the client's, not a question for a person.
    const bool slip =
        std::any_of(fits_.begin(), fits_.end(), [](const Fit& one) { return one.lack && one.lack->only_max_tokens; });
    if (person && !started_any_ && slip) break;
    start_tier(index);
    return;
  }
  fail_without_tier();
}

void Run::start_tier(size_t index) {
  if (core_->closing) {
    finish(Error{Code::kUnavailable, "the server is shutting down", {}});
    return;
  }
  const Tier& tier = core_->tiers[index];
  const bool person = tier.backend->capabilities().person;
  current_ = index;
  ++generation_;
  active_ = true;
  started_any_ = started_any_ || !person;
  must_convince_ = !person && has_tier_behind(index);
  first_seen_ = false;
  held_.clear();
  signals_.clear();
  window_seen_ = 0;
  tokens_seen_ = 0;
  reported_.reset();
  attempt_cancel_ = base::CancelToken();
  attempt_ns_ = core_->clock.now_ns();
  if (tier.first_event_ms > 0) ask_timer(tier.first_event_ms, TimedOut{generation_, true});
  if (tier.timeout_ms > 0) ask_timer(tier.timeout_ms, TimedOut{generation_, false});
  const auto guard = std::make_shared<SinkGuard>(shared_from_this(), generation_);
  tier.backend->start(
      request_, Handover{decision_.reason, drafts_},
      [guard](BackendEvent&& event) { guard->run->post(FromTier{guard->generation, std::move(event)}); },
      attempt_cancel_);
}

void Run::take(CaseOpened&& event) {
  decision_.case_id = std::move(event.case_id);
  if (!committed_) commit(std::nullopt);
}

void Run::collect_signals(const Delta& delta) {
  tokens_seen_ += static_cast<int>(delta.tokens.size());
  const auto window = static_cast<size_t>(core_->options.window_tokens);
  for (const TokenInfo& token : delta.tokens) {
    if (window > 0 && signals_.size() >= window) break;
    signals_.push_back(numbers_of(token));
  }
  // A delta that tells no tokens is at least one.
  const bool has_text = !delta.content.empty() || !delta.reasoning.empty();
  window_seen_ += std::max(static_cast<int>(delta.tokens.size()), has_text ? 1 : 0);
}

void Run::take(Delta&& event) {
  collect_signals(event);
  if (committed_) {
    emit(std::move(event));
    return;
  }
  const bool has_text = !event.content.empty() || !event.reasoning.empty();
  held_.push_back(std::move(event));
  if (!must_convince_ || (has_text && !core_->tiers[current_].backend->capabilities().logprobs)) {
    commit(std::nullopt);  // nothing to wait for: nobody asks for its confidence, or it never tells
    return;
  }
  const int window = core_->options.window_tokens;
  if (window > 0 && window_seen_ >= window) judge(false);
}

void Run::judge(bool ended) {
  const auto score = confidence(features_of(signals_, core_->options.window_tokens, ended));
  if (score && *score < core_->options.threshold) {
    give_up("low_confidence", score, std::nullopt);
  } else {
    commit(score);
  }
}

void Run::commit(std::optional<double> score) {
  committed_ = true;
  const Backend& backend = *core_->tiers[current_].backend;
  decision_.tier = backend.name();
  decision_.model_id = backend.model_id();
  decision_.confidence = score;
  if (forced_ >= 0) {
    decision_.reason = "requested";
  } else if (decision_.reason.empty()) {
    decision_.reason = !must_convince_ ? "only_tier" : score ? "confident" : "unscored";
  }
  Decision so_far = decision_;
  so_far.attempts.push_back(close_attempt("answered", score, {fits_[current_].prompt_tokens, tokens_seen_, 0}));
  emit(std::move(so_far));
  for (Delta& delta : std::exchange(held_, {})) emit(std::move(delta));
}

void Run::take(End&& event) {
  if (!committed_) {
    reported_ = event.usage;
    const bool empty = std::all_of(held_.begin(), held_.end(),
                                   [](const Delta& one) { return one.content.empty() && one.reasoning.empty(); });
    if (must_convince_ && (empty || event.reason == FinishReason::kContentFilter)) {
      give_up(empty ? "empty" : "refused", std::nullopt, std::nullopt);
      return;
    }
    if (must_convince_) {
      judge(true);
    } else {
      commit(std::nullopt);
    }
    if (!committed_) return;
  }
  const bool ended = event.reason == FinishReason::kStop;
  if (!decision_.confidence && decision_.case_id.empty()) {
    decision_.confidence = confidence(features_of(signals_, core_->options.window_tokens, ended));
  }
  add_usage(event.usage);
  decision_.attempts.push_back(close_attempt("answered", decision_.confidence, event.usage));
  finish(CascadeEnd{event, decision_, total_});
}

void Run::take(Error&& error) {
  if (committed_) {
    finish(std::move(error));  // nothing is retracted: the client sees where it broke off
    return;
  }
  std::string outcome = fmt::format("error:{}", base::code_name(error.code));
  give_up(std::move(outcome), std::nullopt, std::move(error));
}

Attempt Run::close_attempt(std::string outcome, std::optional<double> score, const Usage& usage) const {
  return {core_->tiers[current_].backend->name(), std::move(outcome), score, usage,
          ms_between(attempt_ns_, core_->clock.now_ns())};
}

void Run::add_usage(const Usage& usage) {
  total_.prompt_tokens += usage.prompt_tokens;
  total_.completion_tokens += usage.completion_tokens;
  total_.cached_tokens += usage.cached_tokens;
}

void Run::give_up(std::string outcome, std::optional<double> score, std::optional<Error> error) {
  active_ = false;
  attempt_cancel_.cancel();
  // What it cost up to here; what it computes before it notices is not waited for.
  const Usage usage = reported_.value_or(Usage{fits_[current_].prompt_tokens, tokens_seen_, 0});
  add_usage(usage);
  const Backend& backend = *core_->tiers[current_].backend;
  decision_.attempts.push_back(close_attempt(outcome, score, usage));
  decision_.reason = outcome;
  if (error) errors_.emplace_back(backend.name(), *std::move(error));
  Draft draft{backend.name(), std::move(outcome), {}, {}, score, backend.model_id()};
  for (const Delta& delta : std::exchange(held_, {})) {
    draft.content += delta.content;
    draft.reasoning += delta.reasoning;
  }
  drafts_.push_back(std::move(draft));
  // Not on this thread: it may be the engine's, and the next tier renders, counts, or writes a case. This closure alone
  // keeps the run until then.
  core_->timers.after(0, [self = shared_from_this()] { self->post(Next{}); });
}

void Run::fail_without_tier() {
  if (errors_.empty()) {
    finish(Error{Code::kUnavailable, "no tier could answer", {}});
    return;
  }
  // A smaller max_tokens is something that the client can do; else the last failure is the one nearest to an answer.
  const Error* best = &errors_.back().second;
  if (!started_any_) {
    for (const Fit& one : fits_) {
      if (one.lack && one.lack->only_max_tokens) best = &one.lack->error;
    }
  }
  Error out = *best;
  if (decision_.attempts.size() > 1 && started_any_) {
    out.message = "no tier could answer:";
    size_t next_error = 0;
    for (const Attempt& attempt : decision_.attempts) {
      std::string why = attempt.outcome;
      if (next_error < errors_.size() && errors_[next_error].first == attempt.tier) {
        why = errors_[next_error++].second.message;
      }
      fmt::format_to(std::back_inserter(out.message), " {}: {};", attempt.tier, why);
    }
    out.message.pop_back();
  }
  finish(std::move(out));
}

void Run::emit(CascadeEvent&& event) { sink_(std::move(event)); }

void Run::finish(Error error) {
  over_ = true;
  active_ = false;
  attempt_cancel_.cancel();
  log_end(base::code_name(error.code));
  held_.clear();
  emit(std::move(error));
  sink_ = nullptr;
}

void Run::finish(CascadeEnd end) {
  over_ = true;
  active_ = false;
  log_end("ok");
  emit(std::move(end));
  sink_ = nullptr;
}

// One line a request: who answered and why, and what was tried before.
void Run::log_end(std::string_view outcome) const {
  std::string tried;
  for (const Attempt& attempt : decision_.attempts) {
    fmt::format_to(std::back_inserter(tried), "{}{}={}", tried.empty() ? "" : ",", attempt.tier, attempt.outcome);
    if (attempt.confidence) fmt::format_to(std::back_inserter(tried), "({:.4f})", *attempt.confidence);
  }
  base::log(base::LogLevel::kInfo, "chat id={} end={} tier={} reason={} case={} tokens={}+{} ms={:.1f} tried={}",
            request_.id, outcome, decision_.tier, decision_.reason, decision_.case_id, total_.prompt_tokens,
            total_.completion_tokens, ms_between(start_ns_, core_->clock.now_ns()), tried);
}

}  // namespace concerto::cascade
