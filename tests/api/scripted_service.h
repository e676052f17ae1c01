// A Service that answers as a test says: a list of events for each chat, or a chat that the test drives itself.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "api/service.h"

namespace concerto::api {

inline cascade::TokenInfo token(std::string bytes, float logprob, bool thinking = false) {
  cascade::TokenInfo info;
  info.bytes = std::move(bytes);
  info.logprob = logprob;
  info.thinking = thinking;
  info.top = {{info.bytes, logprob}, {"other", logprob - 1}};
  return info;
}

class ScriptedService final : public Service {
 public:
  struct Call {
    cascade::ChatRequest request;
    std::string model;
    cascade::CascadeSink sink;
    base::CancelToken cancel;
  };

  void chat(cascade::ChatRequest request, std::string_view model, cascade::CascadeSink sink,
            base::CancelToken cancel) override {
    if (model != "concerto" && model != "fast") {
      sink(base::Error{base::Code::kNotFound,
                       "model: expected one of concerto, fast, found '" + std::string(model) + "'", "model"});
      return;
    }
    Call call{std::move(request), std::string(model), std::move(sink), std::move(cancel)};
    if (on_chat) {
      on_chat(call);
      return;
    }
    const std::lock_guard lock(mutex);
    calls.push_back(std::move(call));
    arrived.notify_all();
  }
  // Waits for the next chat that no on_chat took.
  Call next() {
    std::unique_lock lock(mutex);
    arrived.wait_for(lock, std::chrono::seconds(5), [&] { return !calls.empty(); });
    if (calls.empty()) return {};
    Call call = std::move(calls.front());
    calls.pop_front();
    return call;
  }
  [[nodiscard]] std::vector<ModelInfo> models() const override {
    return {{"concerto", "cascade", "", 0, 1}, {"fast", "local", "sha256:ab", 4096, 1}};
  }
  [[nodiscard]] Readiness readiness() const override { return {ready, ready ? "" : "loading fast: 43%"}; }
  [[nodiscard]] base::Result<CaseInfo> find_case(std::string_view id) const override {
    if (id != "case-1") return base::fail(base::Code::kNotFound, "case: no case '" + std::string(id) + "'", "id");
    return info;
  }
  base::Result<CaseInfo> answer_case(std::string_view id, const CaseAnswer& answer) override {
    if (id != "case-1") return base::fail(base::Code::kNotFound, "case: no case '" + std::string(id) + "'", "id");
    if (info.state == "answered") return base::fail(base::Code::kConflict, "case case-1: answered before");
    info.state = "answered";
    info.answer = answer.answer;
    info.answered_by = answer.answered_by;
    info.answered_ms = 1;
    return info;
  }
  [[nodiscard]] std::vector<EngineSample> engines() const override {
    engine::EngineStats stats;
    stats.running = 3;
    return {{"fast", stats}};
  }

  std::function<void(const Call&)> on_chat;
  std::atomic<bool> ready{true};
  CaseInfo info{"case-1", "open", "蒸馏版未覆盖case", "upstream_error", "合同?", "", "", 5, std::nullopt};
  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<Call> calls;  // guarded by mutex
};

// The usual answer: thinking, then "你好，世界", with signals.
inline void answer(const cascade::CascadeSink& sink) {
  cascade::Decision decision;
  decision.tier = "fast";
  decision.reason = "keyword:合同";
  decision.confidence = 0.91234;
  decision.model_id = "sha256:ab";
  decision.attempts.push_back({"fast", "answered", 0.91234, {7, 4, 2}, 12.5});
  sink(cascade::Decision(decision));
  sink(cascade::Delta{"", "hm", {token("hm", -0.5F, true)}});
  sink(cascade::Delta{"你好", "", {token("\xE4\xBD", -0.1F), token("\xA0好", -0.2F)}});
  sink(cascade::Delta{"", "", {}});
  sink(cascade::Delta{"，世界", "", {token("，世界", -0.25F)}});
  cascade::CascadeEnd end;
  end.end.usage = {7, 4, 2};
  end.end.prompt_ms = 10;
  end.end.generate_ms = 20;
  end.decision = decision;
  end.total = {7, 4, 2};
  sink(std::move(end));
}

}  // namespace concerto::api
