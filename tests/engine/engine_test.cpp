// The engine's thread: submit from anywhere, refusals, cancel, queue limits, shutdown.
#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "reference.h"

namespace concerto::engine {
namespace {

using base::Code;

constexpr int kVocab = 61;
constexpr int kContext = 256;

const kernels::KernelTable& table() {
  static const kernels::KernelTable t = [] {
    kernels::KernelTable made{};
    made.name = "reference";
    made.log_sum_exp = reference_log_sum_exp;
    return made;
  }();
  return t;
}

struct Opened {
  std::unique_ptr<Engine> engine;
  ScriptedModel* model = nullptr;
};

Opened open(EngineOptions options, std::function<void(const model::Batch&)> on_forward = nullptr) {
  EngineParts parts;
  auto model = std::make_unique<ScriptedModel>(kVocab, kContext);
  model->on_forward = std::move(on_forward);
  Opened opened;
  opened.model = model.get();
  parts.pool = std::make_unique<base::ThreadPool>(2);
  parts.model = std::move(model);
  parts.tokenizer = std::make_unique<NumberTokenizer>(kVocab);
  parts.table = &table();
  auto made = Engine::assemble(std::move(parts), options);
  EXPECT_TRUE(made) << made.error().message;
  if (made) opened.engine = std::move(*made);
  return opened;
}

// Collects the events of one request; wait() returns once the last one came.
class Collector {
 public:
  Sink sink() {
    return [this](Event&& event) {
      const std::lock_guard lock(mutex_);
      EXPECT_FALSE(ended_) << "an event after the last";
      if (auto* t = std::get_if<TokenEvent>(&event)) tokens.push_back(t->id);
      if (auto* f = std::get_if<FinishEvent>(&event)) {
        finish = *f;
        ended_ = true;
      }
      if (std::holds_alternative<base::Error>(event)) ended_ = true;
      changed_.notify_all();
    };
  }
  void wait() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return ended_; }));
  }
  void wait_for_tokens(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return tokens.size() >= count; }));
  }
  [[nodiscard]] bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }
  std::vector<int32_t> tokens;
  FinishEvent finish;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

Request request(std::vector<int32_t> prompt, int max_tokens) {
  Request r;
  r.prompt = std::move(prompt);
  r.max_tokens = max_tokens;
  r.ignore_end = true;
  return r;
}

TEST(Engine, RefusesWhatCanNeverRun) {
  EngineOptions options;
  options.context = 200;
  options.kv_bytes = 2 * kernels::KvLayout{1, 1, 8}.block_bytes();
  const auto [engine, model] = open(options);
  ASSERT_NE(engine, nullptr);
  const auto refusal = [&](Request r) {
    Collector unused;
    const auto status = engine->submit(std::move(r), unused.sink(), {});
    EXPECT_FALSE(status);
    return status ? base::Error{} : status.error();
  };
  EXPECT_EQ(refusal(request({}, 1)).code, Code::kInvalidArgument);
  EXPECT_EQ(refusal(request({kVocab}, 1)).message, "prompt: expected token ids 0 to 60, found 61");
  EXPECT_EQ(refusal(request({-1}, 1)).param, "prompt");
  EXPECT_EQ(refusal(request({1}, -2)).param, "max_tokens");
  EXPECT_EQ(refusal(request(std::vector<int32_t>(200, 1), 1)).code, Code::kContextLength);
  EXPECT_EQ(refusal(request(std::vector<int32_t>(201, 1), 0)).code, Code::kContextLength);
  // The two blocks of the pool hold 128 tokens, whatever context was asked for.
  EXPECT_EQ(engine->context(), 128);
  const base::Error too_long = refusal(request(std::vector<int32_t>(128, 1), 1));
  EXPECT_EQ(too_long.code, Code::kContextLength);
  EXPECT_EQ(too_long.message,
            "prompt: expected at most 127 tokens (context of 128, all that the memory holds, one left for the answer), "
            "found 128");
  const auto scored = [&](int from) {
    Request r = request({1, 2, 3}, 1);
    r.prompt_logprobs = true;
    r.logprobs_from = from;
    return refusal(r).param;
  };
  EXPECT_EQ(scored(0), "logprobs_from");
  EXPECT_EQ(scored(4), "logprobs_from");
  const auto sampling = [&](const std::function<void(Request&)>& change) {
    Request r = request({1}, 1);
    change(r);
    return refusal(r).param;
  };
  EXPECT_EQ(sampling([](Request& r) { r.sampling.temperature = -0.1F; }), "temperature");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.temperature = std::nanf(""); }), "temperature");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.top_p = 1.1F; }), "top_p");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.min_p = -1; }), "min_p");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.top_k = -1; }), "top_k");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.repeat_penalty = 0; }), "repeat_penalty");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.repeat_last_n = -2; }), "repeat_last_n");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.presence_penalty = INFINITY; }), "presence_penalty");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.frequency_penalty = 1000; }), "frequency_penalty");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.logit_bias = {{61, 1.0F}}; }), "logit_bias");
  EXPECT_EQ(sampling([](Request& r) { r.sampling.logit_bias = {{1, INFINITY}}; }), "logit_bias");
  EXPECT_EQ(sampling([](Request& r) { r.top_logprobs = 21; }), "top_logprobs");
}

TEST(Engine, RefusesOptionsOutOfRange) {
  const auto error = [](const EngineOptions& options) {
    EngineParts parts;
    parts.pool = std::make_unique<base::ThreadPool>(1);
    parts.model = std::make_unique<ScriptedModel>(kVocab, kContext);
    parts.tokenizer = std::make_unique<NumberTokenizer>(kVocab);
    parts.table = &table();
    const auto made = Engine::assemble(std::move(parts), options);
    return made ? std::string("opened") : made.error().message;
  };
  EngineOptions options;
  options.context = kContext + 1;
  EXPECT_THAT(error(options), testing::HasSubstr("expected 0 (default) to 256"));
  options = {};
  options.max_running = 0;
  EXPECT_THAT(error(options), testing::HasSubstr("max_running"));
  options = {};
  options.kv_bytes = 10;
  EXPECT_THAT(error(options), testing::HasSubstr("expected at least 2048 bytes"));
  options = {};
  options.memory_bytes = 100;
  EXPECT_THAT(error(options), testing::HasSubstr("found a memory budget of 0 MB"));
  options.memory_bytes = size_t{4} << 20;
  options.kv_bytes = size_t{4} << 20;
  EXPECT_THAT(error(options), testing::HasSubstr("4 MB of KV cache, found a memory budget of 4 MB"));
}

TEST(Engine, KeepsWithinTheDeclaredMemory) {
  const size_t block = kernels::KvLayout{1, 1, 8}.block_bytes();
  EngineOptions options;
  options.max_running = 4;
  const auto [roomy, unused] = open(options);
  ASSERT_NE(roomy, nullptr);
  const size_t working = roomy->stats().working_bytes;
  EXPECT_GE(working, (4U + 64U) * kVocab * sizeof(float));
  EXPECT_EQ(roomy->stats().kv_blocks_total, 4 * 4);  // four whole contexts of 256 tokens
  options.memory_bytes = working + 5 * block + block / 2;
  const auto [small, unused_too] = open(options);
  ASSERT_NE(small, nullptr);
  EXPECT_EQ(small->stats().kv_blocks_total, 5);
  EXPECT_EQ(small->context(), kContext);
  options.memory_bytes = working + 3 * block;
  const auto [smaller, unused_as_well] = open(options);
  EXPECT_EQ(smaller->context(), 3 * 64);
}

TEST(Engine, FillsTheContextAndStops) {
  const auto [engine, model] = open({});
  Collector c;
  ASSERT_TRUE(engine->submit(request({1, 2, 3}, -1), c.sink(), {}));
  c.wait();
  EXPECT_EQ(c.finish.reason, FinishReason::kLength);
  EXPECT_EQ(c.finish.completion_tokens, kContext - 3);
  bool stopped = false;
  Request same = request({1, 2, 3}, -1);
  EXPECT_EQ(c.tokens, reference_answer(same, kVocab, kContext - 3, &stopped));
  EXPECT_GE(c.finish.timings.generate_ms, 0);
}

TEST(Engine, AnswersManyThreadsAtOnce) {
  EngineOptions options;
  options.kv_bytes = 20 * kernels::KvLayout{1, 1, 8}.block_bytes();
  options.max_running = 5;
  options.max_batch_tokens = 40;
  const auto [engine, model] = open(options);
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t, e = engine.get()] {
      for (int i = 0; i < 15; ++i) {
        Request r = request(std::vector<int32_t>(static_cast<size_t>(1 + (t * 31 + i * 17) % 150), t), 20 + i);
        r.sampling.seed = static_cast<uint64_t>(i);
        r.ignore_end = i % 2 == 0;
        Collector c;
        ASSERT_TRUE(e->submit(r, c.sink(), {}));
        c.wait();
        bool stopped = false;
        EXPECT_EQ(c.tokens, reference_answer(r, kVocab, r.max_tokens, &stopped));
        (void)e->stats();
      }
    });
  }
  for (auto& t : threads) t.join();
  // The engine thread publishes its counters when it next looks at the queue.
  for (int i = 0; i < 1000 && engine->stats().running > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(engine->stats().running, 0);
  EXPECT_EQ(engine->stats().waiting, 0);
  EXPECT_EQ(engine->stats().kv_blocks_free, engine->stats().kv_blocks_total);
}

// Lets the model's passes through one at a time.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_ || allowed_ > 0; });
    if (!open_) --allowed_;
  }
  void wait_for_arrival(int n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= n; });
  }
  void allow(int n) {
    const std::lock_guard lock(mutex_);
    allowed_ += n;
    changed_.notify_all();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0, allowed_ = 0;
  bool open_ = false;
};

TEST(Engine, SaysBusyWhenTheQueueIsFull) {
  Gate gate;
  EngineOptions options;
  options.max_running = 1;
  options.max_waiting = 2;
  const auto [engine, model] = open(options, [&](const model::Batch&) { gate.pass(); });
  Collector running, first, second, refused;
  ASSERT_TRUE(engine->submit(request({1}, 5), running.sink(), {}));
  gate.wait_for_arrival(1);
  ASSERT_TRUE(engine->submit(request({2}, 5), first.sink(), {}));
  ASSERT_TRUE(engine->submit(request({3}, 5), second.sink(), {}));
  const auto busy = engine->submit(request({4}, 5), refused.sink(), {});
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, Code::kBusy);
  EXPECT_EQ(engine->stats().waiting, 2);
  EXPECT_EQ(engine->stats().running, 1);
  gate.open();
  running.wait();
  first.wait();
  second.wait();
  EXPECT_FALSE(refused.ended());
}

TEST(Engine, CancelEndsWaitingAndRunningWithinAPass) {
  Gate gate;
  EngineOptions options;
  options.max_running = 1;
  const auto [engine, model] = open(options, [&](const model::Batch&) { gate.pass(); });
  Collector running, waiting;
  const base::CancelToken cancel_running, cancel_waiting;
  ASSERT_TRUE(engine->submit(request({1}, 100), running.sink(), cancel_running));
  gate.wait_for_arrival(1);
  gate.allow(2);
  gate.wait_for_arrival(3);
  ASSERT_TRUE(engine->submit(request({2}, 100), waiting.sink(), cancel_waiting));
  cancel_waiting.cancel();
  gate.allow(1);
  waiting.wait();
  EXPECT_EQ(waiting.finish.reason, FinishReason::kCancelled);
  EXPECT_EQ(waiting.finish.completion_tokens, 0);
  cancel_running.cancel();
  gate.allow(1);
  running.wait();
  EXPECT_EQ(running.finish.reason, FinishReason::kCancelled);
  EXPECT_LE(running.tokens.size(), 5U);
  gate.open();
}

TEST(Engine, ShutdownEndsEverybodyAndJoins) {
  Collector running, waiting;
  {
    EngineOptions options;
    options.max_running = 1;
    // Slow enough that neither answer is complete before the engine goes.
    const auto [engine, model] =
        open(options, [](const model::Batch&) { std::this_thread::sleep_for(std::chrono::milliseconds(5)); });
    ASSERT_TRUE(engine->submit(request({1}, 200), running.sink(), {}));
    ASSERT_TRUE(engine->submit(request({2}, 200), waiting.sink(), {}));
    running.wait_for_tokens(3);
  }
  EXPECT_TRUE(running.ended());
  EXPECT_TRUE(waiting.ended());
  EXPECT_EQ(running.finish.reason, FinishReason::kCancelled);
  EXPECT_EQ(waiting.finish.reason, FinishReason::kCancelled);
}

TEST(Engine, ASinkMaySubmitTheNextRequest) {
  const auto [engine, model] = open({});
  Collector second;
  std::atomic<bool> submitted{false};
  ASSERT_TRUE(engine->submit(request({1}, 3),
                             [&, e = engine.get()](Event&& event) {
                               if (std::holds_alternative<FinishEvent>(event)) {
                                 submitted = e->submit(request({2}, 3), second.sink(), {}).has_value();
                               }
                             },
                             {}));
  second.wait();
  EXPECT_TRUE(submitted);
  EXPECT_EQ(second.tokens.size(), 3U);
}

// The last reference may go with a sink, on the engine's own thread.
TEST(Engine, MayGoWithinASink) {
  Collector collector;
  auto alive = std::make_shared<int>(0);
  const std::weak_ptr<int> model_alive = alive;
  {
    auto opened = open({}, [alive = std::move(alive)](const model::Batch&) {});
    const std::shared_ptr<Engine> engine = std::move(opened.engine);
    ASSERT_TRUE(engine->submit(request({1}, 50),
                               [engine, sink = collector.sink()](Event&& event) { sink(std::move(event)); }, {}));
  }
  collector.wait();
  EXPECT_EQ(collector.tokens.size(), 50U);
  for (int i = 0; i < 1000 && !model_alive.expired(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(model_alive.expired()) << "the model is still in memory";
}

}  // namespace
}  // namespace concerto::engine
