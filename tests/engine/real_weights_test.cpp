// The determinism contract on real weights: one request, the same bits whatever surrounds it.
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "engine/engine.h"
#include "text/models.h"

namespace concerto::engine {
namespace {

// What a request heard, as bytes: ids, log-probabilities, margins, entropies, alternatives.
struct Answer {
  std::string bytes;
  std::vector<int32_t> tokens;
  std::vector<float> prompt_logprobs;
  FinishEvent finish;
  bool ended = false;
  std::string error;
};

class Asker {
 public:
  explicit Asker(Engine& engine) : engine_(engine) {}

  // All requests at once; returns when every one has ended.
  std::vector<Answer> ask(const std::vector<Request>& requests) {
    std::vector<Answer> answers(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto status = engine_.submit(requests[i], [this, a = &answers[i]](Event&& event) { hear(a, event); }, {});
      EXPECT_TRUE(status) << status.error().message;
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return std::ranges::all_of(answers, [](const Answer& a) { return a.ended; }); });
    return answers;
  }
  Answer ask(const Request& request) { return std::move(ask(std::vector<Request>{request})[0]); }

 private:
  template <class T>
  static void append(Answer* a, const T& value) {
    a->bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void hear(Answer* a, Event& event) {
    const std::lock_guard lock(mutex_);
    if (const auto* p = std::get_if<PromptEvent>(&event)) a->prompt_logprobs = p->logprobs;
    if (const auto* t = std::get_if<TokenEvent>(&event)) {
      a->tokens.push_back(t->id);
      append(a, t->id);
      append(a, t->logprob);
      append(a, t->margin);
      append(a, t->entropy);
      for (const TopLogprob& top : t->top) {
        append(a, top.id);
        append(a, top.logprob);
      }
    }
    if (const auto* f = std::get_if<FinishEvent>(&event)) {
      a->finish = *f;
      a->ended = true;
    }
    if (const auto* e = std::get_if<base::Error>(&event)) {
      a->error = e->message;
      a->ended = true;
    }
    changed_.notify_all();
  }

  Engine& engine_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

std::unique_ptr<Engine> open(const std::function<void(EngineOptions&)>& change = nullptr) {
  EngineOptions options;
  options.model_path = text::model_path(text::kSmolFile);
  options.context = 1024;
  options.threads = 2;
  options.kv_bytes = size_t{256} << 20;
  if (change) change(options);
  auto engine = Engine::open(options);
  EXPECT_TRUE(engine) << engine.error().message;
  return engine ? std::move(*engine) : nullptr;
}

#define SKIP_WITHOUT_MODEL()                                       \
  if (!std::filesystem::exists(text::model_path(text::kSmolFile))) \
  GTEST_SKIP() << text::model_path(text::kSmolFile)                \
               << " is not on this machine: concerto pull smollm2-135m-instruct-q4_1"

Request request(const Engine& engine, const std::string& text, int max_tokens) {
  Request r;
  r.prompt = engine.tokenizer().encode(text, true);
  r.max_tokens = max_tokens;
  r.sampling.temperature = 0.8F;
  r.sampling.top_p = 0.95F;
  r.sampling.repeat_penalty = 1.1F;
  r.sampling.seed = 1234;
  r.top_logprobs = 5;
  r.ignore_end = true;
  return r;
}

const char* const kPrompts[] = {
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nName three uses of a paper clip.<|im_end|>\n<|im_start|>assistant\n",
    "def binary_search(items, target):\n    \"\"\"Return the index of target, or -1.\"\"\"\n",
    "今天的天气很好，我们",
    "The quick brown fox",
    "SELECT name FROM customers WHERE",
    "Once upon a time, in a village at the foot of a mountain, there lived an old clock maker who",
    "1, 1, 2, 3, 5, 8, 13,",
};

// About 300 tokens: several KV blocks, so that chunks, batches and prefix hits cut it in different places.
std::string long_text() {
  std::string text;
  for (int i = 0; i < 24; ++i) {
    text += "Entry " + std::to_string(i) + ": the pump on floor " + std::to_string(i * 7 % 11) + " was checked. ";
  }
  return text + "The next entry says that";
}

TEST(RealWeights, SameBytesWhateverTheThreadsBatchChunkAndCache) {
  SKIP_WITHOUT_MODEL();
  const auto reference_engine = open();
  ASSERT_NE(reference_engine, nullptr);
  std::vector<Request> requests;
  for (const char* prompt : kPrompts) requests.push_back(request(*reference_engine, prompt, 24));
  requests.push_back(request(*reference_engine, long_text(), 24));
  std::vector<Answer> alone;
  {
    Asker asker(*reference_engine);
    for (const Request& r : requests) {
      alone.push_back(asker.ask(r));
      ASSERT_EQ(alone.back().tokens.size(), 24U);
      ASSERT_LT(alone.back().finish.cached_tokens, 64);  // the template's beginning at most
    }
    // Again, all together, prefixes from the cache.
    const auto again = asker.ask(requests);
    for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(again[i].bytes, alone[i].bytes) << "prompt " << i;
    EXPECT_GE(again.back().finish.cached_tokens, 256);
  }
  const std::pair<const char*, std::function<void(EngineOptions&)>> variants[] = {
      {"one thread", [](EngineOptions& o) { o.threads = 1; }},
      {"17 tokens a pass", [](EngineOptions& o) { o.max_batch_tokens = 17; }},
      {"512 tokens a pass, no cache", [](EngineOptions& o) { o.max_batch_tokens = 512, o.prefix_cache = false; }},
      {"three at once, little memory",
       [](EngineOptions& o) {
         o.max_running = 3;
         o.kv_bytes = size_t{64} << 20;
       }},
  };
  for (const auto& [name, change] : variants) {
    SCOPED_TRACE(name);
    const auto engine = open(change);
    ASSERT_NE(engine, nullptr);
    const auto answers = Asker(*engine).ask(requests);
    for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(answers[i].bytes, alone[i].bytes) << "prompt " << i;
  }
}

// Prompts that invite to repeat them, so that guesses are made and many are right.
TEST(RealWeights, SameBytesWithAndWithoutSpeculation) {
  SKIP_WITHOUT_MODEL();
  const auto engine = open();
  ASSERT_NE(engine, nullptr);
  std::vector<Request> plain;
  for (const std::string& text :
       {long_text(), "<|im_start|>user\nRepeat this list: " + long_text() + "<|im_end|>\n<|im_start|>assistant\n",
        std::string("1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3,"), std::string(kPrompts[2])}) {
    for (const float temperature : {0.0F, 0.6F}) {
      Request r = request(*engine, text, 40);
      r.sampling.temperature = temperature;
      r.sampling.repeat_penalty = temperature == 0 ? 1.0F : 1.05F;
      r.speculate = false;
      plain.push_back(r);
    }
  }
  std::vector<Request> guessed = plain;
  for (Request& r : guessed) r.speculate = true;
  Asker asker(*engine);
  std::vector<Answer> expected;
  for (const Request& r : plain) expected.push_back(asker.ask(r));
  EXPECT_EQ(engine->stats().drafted_tokens, 0U);
  int accepted = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const Answer answer = asker.ask(guessed[i]);
    EXPECT_EQ(answer.bytes, expected[i].bytes) << "prompt " << i;
    accepted += answer.finish.accepted_tokens;
  }
  EXPECT_GT(accepted, 40);
  const auto together = asker.ask(guessed);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(together[i].bytes, expected[i].bytes) << "prompt " << i;
}

// The 0.5B guesses for the 1.5B: the 1.5B's own bits, greedy and by chance, one at a time and together.
TEST(RealWeights, SameBytesWithADraftModel) {
  const std::string target = text::model_path("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
  const std::string small = text::model_path("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
  for (const std::string& path : {target, small}) {
    if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not on this machine: concerto pull fetches it";
  }
  const auto engine = open([&](EngineOptions& o) {
    o.model_path = target;
    o.draft_path = small;
  });
  ASSERT_NE(engine, nullptr);
  std::vector<Request> guessed = {request(*engine, kPrompts[2], 40), request(*engine, kPrompts[5], 30)};
  guessed[0].sampling = {};
  guessed[0].sampling.temperature = 0;
  std::vector<Request> plain = guessed;
  for (Request& r : plain) r.speculate = false;
  Asker asker(*engine);
  std::vector<Answer> expected;
  int accepted = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    expected.push_back(asker.ask(plain[i]));
    const Answer answer = asker.ask(guessed[i]);
    EXPECT_EQ(answer.bytes, expected[i].bytes) << "prompt " << i;
    accepted += answer.finish.accepted_tokens;
  }
  EXPECT_GT(accepted, 10);
  const auto together = asker.ask(guessed);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(together[i].bytes, expected[i].bytes) << "prompt " << i;
}

TEST(RealWeights, ADraftModelOfAnotherVocabularyIsRefused) {
  const std::string target = text::model_path("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
  SKIP_WITHOUT_MODEL();
  if (!std::filesystem::exists(target)) GTEST_SKIP() << target << " is not on this machine: concerto pull fetches it";
  EngineOptions options;
  options.model_path = target;
  options.draft_path = text::model_path(text::kSmolFile);
  const auto refused = Engine::open(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "draft");
  EXPECT_NE(refused.error().message.find("49152 tokens instead of 151936"), std::string::npos)
      << refused.error().message;
  options.draft_path = "/nonexistent/model.gguf";
  EXPECT_EQ(Engine::open(options).error().code, base::Code::kNotFound);
}

TEST(RealWeights, SameBytesOnEveryInstructionSet) {
  SKIP_WITHOUT_MODEL();
  std::vector<Answer> first;
  for (const char* isa : {"generic", "avx2", "avx512", "neon"}) {
    if (kernels::find_table(isa) == nullptr) continue;
    SCOPED_TRACE(isa);
    const auto engine = open([&](EngineOptions& o) { o.isa = isa; });
    ASSERT_NE(engine, nullptr);
    const auto answers = Asker(*engine).ask({request(*engine, kPrompts[0], 5), request(*engine, kPrompts[3], 5)});
    if (first.empty()) first = answers;
    for (size_t i = 0; i < answers.size(); ++i) {
      EXPECT_EQ(answers[i].tokens.size(), 5U);
      EXPECT_EQ(answers[i].bytes, first[i].bytes) << "prompt " << i;
    }
  }
}

// A token's log-probability is the same whether it was generated or read as part of a prompt.
TEST(RealWeights, PromptLogprobsAreThoseOfTheGeneration) {
  SKIP_WITHOUT_MODEL();
  const auto engine = open();
  ASSERT_NE(engine, nullptr);
  Asker asker(*engine);
  Request r = request(*engine, kPrompts[6], 100);
  const Answer answer = asker.ask(r);
  ASSERT_EQ(answer.tokens.size(), 100U);
  Request score = r;
  score.prompt.insert(score.prompt.end(), answer.tokens.begin(), answer.tokens.end());
  score.max_tokens = 0;
  score.prompt_logprobs = true;
  const Answer scored = asker.ask(score);
  ASSERT_EQ(scored.prompt_logprobs.size() + 1, score.prompt.size());
  EXPECT_TRUE(scored.tokens.empty());
  const size_t stride = answer.bytes.size() / 100;
  for (size_t i = 0; i < 100; ++i) {
    float generated = 0;
    std::memcpy(&generated, answer.bytes.data() + i * stride + sizeof(int32_t), sizeof(float));
    EXPECT_EQ(scored.prompt_logprobs[r.prompt.size() - 1 + i], generated) << "token " << i;
  }
}

TEST(RealWeights, GreedyAnswersTheQuestionAndStops) {
  SKIP_WITHOUT_MODEL();
  const auto engine = open();
  ASSERT_NE(engine, nullptr);
  ASSERT_NE(engine->chat_template(), nullptr);
  Request r = request(*engine, kPrompts[0], -1);
  r.sampling = {};
  r.sampling.temperature = 0;
  r.ignore_end = false;
  const Answer answer = Asker(*engine).ask(r);
  EXPECT_NE(engine->tokenizer().decode(answer.tokens, true).find("Paris"), std::string::npos)
      << engine->tokenizer().decode(answer.tokens, true);
  EXPECT_EQ(answer.finish.reason, FinishReason::kStop);
  EXPECT_GT(answer.finish.timings.prompt_ms, 0);
}

TEST(RealWeights, OpenNamesWhatIsWrong) {
  EngineOptions options;
  options.model_path = "/nonexistent/model.gguf";
  EXPECT_EQ(Engine::open(options).error().code, base::Code::kNotFound);
  options.model_path = testing::TempDir();
  EXPECT_FALSE(Engine::open(options));
  SKIP_WITHOUT_MODEL();
  options.model_path = text::model_path(text::kSmolFile);
  options.isa = "mmx";
  EXPECT_EQ(Engine::open(options).error().param, "isa");
  options.isa.clear();
  options.quantize = "q9";
  EXPECT_EQ(Engine::open(options).error().param, "quantize");
}

}  // namespace
}  // namespace concerto::engine
