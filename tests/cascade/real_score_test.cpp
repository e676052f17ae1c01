// The confidence of a real small model on questions that it can and can't answer.
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "base/clock.h"
#include "base/log.h"
#include "cascade/cascade.h"
#include "cascade/local_backend.h"
#include "scripted.h"

namespace concerto::cascade {
namespace {

struct Question {
  bool easy = false;
  std::string text;
  double score = 0;
  double length = 0;
};

std::vector<Question> questions() {
  std::ifstream in(std::string(CONCERTO_TEST_DATA) + "/cascade/questions.tsv");
  std::vector<Question> out;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    Question one;
    one.easy = line.starts_with("easy");
    one.text = line.substr(line.rfind('\t') + 1);
    out.push_back(one);
  }
  return out;
}

// How often an easy question ranks above a hard one.
double area(const std::vector<Question>& all, double (*rank)(const Question&)) {
  double won = 0;
  double pairs = 0;
  for (const Question& easy : all) {
    for (const Question& hard : all) {
      if (!easy.easy || hard.easy) continue;
      pairs += 1;
      won += rank(easy) > rank(hard) ? 1 : rank(easy) == rank(hard) ? 0.5 : 0;
    }
  }
  return won / pairs;
}

TEST(RealScore, EasyQuestionsAreAcceptedAndHopelessOnesAreNot) {
  base::set_log_level(base::LogLevel::kOff);
  const char* folder = std::getenv("CONCERTO_MODELS");
  const char* home = std::getenv("HOME");
  const std::string path =
      (folder != nullptr ? std::string(folder) : std::string(home != nullptr ? home : "") + "/.cache/concerto/models") +
      "/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there: concerto pull gets it";
  engine::EngineOptions options;
  options.model_path = path;
  options.context = 512;
  auto engine = engine::Engine::open(options);
  ASSERT_TRUE(engine) << engine.error().message;
  auto backend = make_local_backend("fast", std::shared_ptr<engine::Engine>(std::move(*engine)), base::system_clock());
  ASSERT_TRUE(backend);
  const auto timers = make_timers();
  auto made = Cascade::create({}, {{*backend}}, *timers, base::system_clock());
  ASSERT_TRUE(made);
  const auto cascade = std::move(*made);

  std::vector<Question> all = questions();
  ASSERT_GE(all.size(), 50U);
  std::mutex mutex;
  std::condition_variable changed;
  size_t open = 0;
  const auto start = [&](Question* question) {
    ChatRequest request = ask(question->text);
    request.temperature = 0.0F;
    request.max_tokens = CascadeOptions().window_tokens;
    {
      const std::lock_guard lock(mutex);
      ++open;
    }
    cascade->start_tier("fast", request,
                        [&, question](CascadeEvent&& event) {
                          if (std::holds_alternative<Decision>(event) || std::holds_alternative<Delta>(event)) return;
                          const std::lock_guard lock(mutex);
                          if (const auto* end = std::get_if<CascadeEnd>(&event)) {
                            question->score = end->decision.confidence.value_or(-1);
                            question->length = end->end.usage.completion_tokens;
                          } else {
                            ADD_FAILURE() << std::get<base::Error>(event).message;
                          }
                          --open;
                          changed.notify_all();
                        },
                        {});
  };
  const auto wait = [&] {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::minutes(4), [&] { return open == 0; }));
  };
  for (Question& one : all) start(&one);
  wait();

  const double threshold = CascadeOptions().threshold;
  int easy = 0;
  int easy_taken = 0;
  int hard_taken = 0;
  for (const Question& one : all) {
    easy += one.easy ? 1 : 0;
    (one.easy ? easy_taken : hard_taken) += one.score >= threshold ? 1 : 0;
  }
  const double by_score = area(all, [](const Question& one) { return one.score; });
  const double by_length = area(all, [](const Question& one) { return -one.length; });
  std::printf("accepted: %d of %d easy, %d of %zu hard; AUROC score %.3f, length %.3f\n", easy_taken, easy, hard_taken,
              all.size() - static_cast<size_t>(easy), by_score, by_length);
  EXPECT_GE(easy_taken, easy * 8 / 10);
  EXPECT_LE(hard_taken, static_cast<int>(all.size() - static_cast<size_t>(easy)) / 6);
  EXPECT_GE(by_score, 0.9);
  EXPECT_GT(by_score, by_length);

  // Alone, the same question has the same confidence as in the crowd: bit for bit.
  Question again = all.at(1);
  again.score = 0;
  start(&again);
  wait();
  EXPECT_EQ(again.score, all.at(1).score);
}

}  // namespace
}  // namespace concerto::cascade
