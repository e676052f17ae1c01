// What the tests of the cascade are driven by: time that moves when told to, and backends that do as a test says.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cascade/backend.h"
#include "cascade/cascade.h"
#include "cascade/timers.h"

namespace concerto::cascade {

// One thread; runs what is due when the clock is moved.
class FakeTimers final : public Timers {
 public:
  explicit FakeTimers(base::FakeClock* clock) : clock_(clock) {}
  void after(int64_t ms, std::function<void()> f) override {
    due_.emplace(now_ms() + std::max<int64_t>(0, ms), std::move(f));
  }
  // Moves the clock by `ms`, stopping at each timer on the way.
  void advance(int64_t ms) {
    const int64_t end = now_ms() + ms;
    while (!due_.empty() && due_.begin()->first <= end) {
      const auto first = due_.begin();
      if (first->first > now_ms()) clock_->advance_ms(first->first - now_ms());
      const auto f = std::move(first->second);
      due_.erase(first);
      f();
    }
    clock_->advance_ms(end - now_ms());
  }
  [[nodiscard]] size_t waiting() const { return due_.size(); }

 private:
  [[nodiscard]] int64_t now_ms() const { return clock_->now_ns() / 1'000'000; }
  base::FakeClock* clock_;
  std::multimap<int64_t, std::function<void()>> due_;
};

// A backend whose requests wait for the test, or are answered at once by `on_start`.
class ScriptedBackend final : public Backend {
 public:
  struct Call {
    ChatRequest request;
    Handover handover;
    BackendSink sink;
    base::CancelToken cancel;
  };

  explicit ScriptedBackend(std::string name) : name_(std::move(name)) {
    caps.context = 4096;
    caps.logprobs = true;
  }
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] Capabilities capabilities() const override { return caps; }
  [[nodiscard]] base::Result<int> count_tokens(const ChatRequest&) const override { return count; }
  [[nodiscard]] std::string model_id() const override { return "sha256:" + name_; }
  void start(const ChatRequest& request, const Handover& handover, BackendSink sink,
             base::CancelToken cancel) override {
    ++starts;
    Call call{request, handover, std::move(sink), std::move(cancel)};
    if (on_start) {
      on_start(call);
      return;
    }
    calls.push_back(std::move(call));
  }

  Capabilities caps;
  base::Result<int> count = 10;
  std::function<void(Call&)> on_start;
  std::vector<Call> calls;
  std::atomic<int> starts{0};

 private:
  std::string name_;
};

inline TokenInfo signal(std::string bytes, float margin, bool thinking = false) {
  TokenInfo out;
  out.bytes = std::move(bytes);
  out.margin = margin;
  out.logprob = -1.0F + margin;
  out.entropy = 1.0F - margin;
  out.thinking = thinking;
  return out;
}

inline Delta word(const std::string& text, float margin) { return {text, "", {signal(text, margin)}}; }

inline End end_of(int prompt, int completion, FinishReason reason = FinishReason::kStop) {
  End out;
  out.reason = reason;
  out.usage = {prompt, completion, 0};
  return out;
}

// What a client saw.
struct Seen {
  std::vector<Decision> decisions;
  std::string text;
  std::string reasoning;
  int deltas = 0;
  int ends = 0;       // CascadeEnd or Error
  bool late = false;  // something came after the end, or a delta before the decision
  std::optional<CascadeEnd> end;
  std::optional<base::Error> error;

  void take(CascadeEvent&& event) {
    if (ends > 0) late = true;
    if (auto* decision = std::get_if<Decision>(&event)) {
      if (deltas > 0 || !decisions.empty()) late = true;
      decisions.push_back(std::move(*decision));
    } else if (auto* delta = std::get_if<Delta>(&event)) {
      if (decisions.empty()) late = true;
      ++deltas;
      text += delta->content;
      reasoning += delta->reasoning;
    } else if (auto* done = std::get_if<CascadeEnd>(&event)) {
      if (decisions.empty()) late = true;
      ++ends;
      end = std::move(*done);
    } else {
      ++ends;
      error = std::get<base::Error>(std::move(event));
    }
  }
  [[nodiscard]] std::string outcomes() const {
    std::string out;
    const auto& attempts = end ? end->decision.attempts : decisions.empty() ? none : decisions.back().attempts;
    for (const Attempt& one : attempts) out += (out.empty() ? "" : " ") + one.tier + "=" + one.outcome;
    return out;
  }
  std::vector<Attempt> none;
};

inline ChatRequest ask(const std::string& text) {
  ChatRequest out;
  out.id = "chatcmpl-test";
  ChatMessage message;
  message.role = "user";
  message.content = text;
  out.messages.push_back(message);
  return out;
}

}  // namespace concerto::cascade
