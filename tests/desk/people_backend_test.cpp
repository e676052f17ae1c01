#include "desk/people_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <set>

#include "base/log.h"
#include "desk/case_json.h"

namespace concerto::desk {
namespace {

using base::Code;
using cascade::BackendEvent;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// A store whose disk can be full, and slow.
class FaultyStore final : public store::Store {
 public:
  base::Status create_case(const store::NewCase& one) override {
    if (gate.valid()) gate.wait();
    if (!error.empty()) return base::fail(Code::kIo, error);
    created.push_back(one);
    return {};
  }
  base::Result<store::CaseRecord> find_case(std::string_view) override { return base::fail(Code::kNotFound, "none"); }
  base::Result<store::CaseRecord> answer_case(std::string_view, std::string_view, std::string_view by,
                                              int64_t) override {
    answered_by = by;
    return store::CaseRecord{};
  }
  base::Result<std::vector<store::CaseRecord>> list_cases(const store::CaseQuery&) override {
    return std::vector<store::CaseRecord>{};
  }
  base::Result<int64_t> count_cases(store::CaseState) override { return 0; }

  std::string error;
  std::shared_future<void> gate;
  std::vector<store::NewCase> created;
  std::string answered_by;
};

cascade::ChatRequest ask(const std::string& question) {
  cascade::ChatRequest request;
  request.id = "chatcmpl-7";
  request.messages = {{"system", "Be kind."}, {"user", question}, {"assistant", "Well."}, {"tool", "{}"}};
  return request;
}

cascade::Handover handover() {
  return {"low_confidence",
          {{"small", "low_confidence", "也许可以", "嗯", 0.41, "sha256:ab"},
           {"big", "error:timeout", "half \xE4\xBD", "", std::nullopt, "sha256:cd"}}};
}

std::vector<BackendEvent> run(PeopleBackend& backend, const cascade::ChatRequest& request,
                              const base::CancelToken& cancel = {}) {
  std::vector<BackendEvent> events;
  std::promise<void> over;
  backend.start(
      request, handover(),
      [&](BackendEvent&& event) {
        const bool last = std::holds_alternative<cascade::End>(event) || std::holds_alternative<base::Error>(event);
        events.push_back(std::move(event));
        if (last) over.set_value();
      },
      cancel);
  EXPECT_EQ(over.get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
  return events;
}

class PeopleBackendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path = std::filesystem::temp_directory_path() /
           ("concerto_desk_" + std::to_string(::getpid()) + "_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".db");
    auto opened = store::open_sqlite({path.string()});
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
  }
  void TearDown() override {
    store.reset();
    std::filesystem::remove(path);
  }
  std::filesystem::path path;
  std::unique_ptr<store::Store> store;
  base::FakeClock clock{123'456};
};

TEST_F(PeopleBackendTest, StoresTheCaseBeforeItTellsTheClient) {
  Cases cases(store.get(), clock);
  PeopleBackend backend("people", &cases);
  const auto events = run(backend, ask("合同怎么解除？"));
  ASSERT_EQ(events.size(), 3U);
  const std::string id = std::get<cascade::CaseOpened>(events[0]).case_id;
  EXPECT_THAT(id, MatchesRegex("case_[a-z2-7]+"));
  EXPECT_EQ(id.size(), 25U);
  EXPECT_THAT(std::get<cascade::Delta>(events[1]).content, HasSubstr(id));
  EXPECT_THAT(std::get<cascade::Delta>(events[1]).content, HasSubstr("人工"));
  EXPECT_THAT(std::get<cascade::Delta>(events[1]).content, HasSubstr("GET /v1/cases/" + id));

  const auto stored = cases.find(id);
  ASSERT_TRUE(stored) << stored.error().message;
  EXPECT_EQ(stored->label, "蒸馏版未覆盖case");
  EXPECT_EQ(stored->reason, "low_confidence");
  EXPECT_EQ(stored->question, "合同怎么解除？");
  EXPECT_EQ(stored->language, "zh");
  EXPECT_EQ(stored->request_id, "chatcmpl-7");
  EXPECT_EQ(stored->created_ms, 123'456);
  const json messages = json::parse(stored->messages_json);
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0], json({{"role", "system"}, {"content", "Be kind."}}));
  const json drafts = json::parse(stored->drafts_json);
  ASSERT_EQ(drafts.size(), 2U);
  EXPECT_EQ(drafts[0]["confidence"], 0.41);
  EXPECT_EQ(drafts[0]["content"], "也许可以");
  EXPECT_TRUE(drafts[1]["confidence"].is_null());
  EXPECT_EQ(drafts[1]["content"], "half \xEF\xBF\xBD");
  EXPECT_EQ(drafts[1]["outcome"], "error:timeout");
}

TEST_F(PeopleBackendTest, SpeaksTheLanguageOfTheQuestion) {
  Cases cases(store.get(), clock);
  PeopleBackend backend("people", &cases);
  const auto events = run(backend, ask("May I cancel?"));
  ASSERT_EQ(events.size(), 3U);
  EXPECT_THAT(std::get<cascade::Delta>(events[1]).content, HasSubstr("a person will"));
}

TEST_F(PeopleBackendTest, AnswersOnceAndCountsOpenOnes) {
  Cases cases(store.get(), clock);
  PeopleBackend backend("people", &cases);
  const auto events = run(backend, ask("?"));
  const std::string id = std::get<cascade::CaseOpened>(events[0]).case_id;
  EXPECT_EQ(*cases.count_open(), 1);
  const auto answered = cases.answer(id, "Yes.", "");
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->answered_by, "desk");
  EXPECT_EQ(answered->answered_ms, 123'456);
  EXPECT_EQ(*cases.count_open(), 0);
  EXPECT_EQ(cases.answer(id, "No.", "").error().code, Code::kConflict);
}

// Three hundred lines of log would hide what fails.
[[maybe_unused]] const bool kQuiet = (base::set_log_level(base::LogLevel::kOff), true);

TEST(PeopleBackend, ASpoiltStoreIsAnErrorAndNoPromise) {
  FaultyStore faulty;
  faulty.error = "/secret/cases.db: the disk is full";
  Cases cases(&faulty);
  PeopleBackend backend("people", &cases);
  const auto events = run(backend, ask("?"));
  ASSERT_EQ(events.size(), 1U);
  const auto& error = std::get<base::Error>(events[0]);
  EXPECT_EQ(error.code, Code::kIo);
  EXPECT_THAT(error.message, HasSubstr("could not be stored"));
  EXPECT_THAT(error.message, ::testing::Not(HasSubstr("/secret")));
}

TEST(PeopleBackend, NoCaseForAClientThatLeft) {
  FaultyStore faulty;
  Cases cases(&faulty);
  PeopleBackend backend("people", &cases);
  base::CancelToken cancel;
  cancel.cancel();
  const auto events = run(backend, ask("?"), cancel);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(std::get<base::Error>(events[0]).code, Code::kCancelled);
  EXPECT_TRUE(faulty.created.empty());
}

TEST(PeopleBackend, StartNeverWaitsForTheDiskAndRefusesWhatWouldPileUp) {
  FaultyStore faulty;
  std::promise<void> gate;
  faulty.gate = gate.get_future().share();
  Cases cases(&faulty);
  std::atomic<int> ended{0};
  std::atomic<int> busy{0};
  {
    PeopleBackend backend("people", &cases);
    const auto sink = [&](BackendEvent&& event) {
      if (std::holds_alternative<cascade::End>(event)) ++ended;
      if (const auto* error = std::get_if<base::Error>(&event); error != nullptr && error->code == Code::kBusy) ++busy;
    };
    for (int i = 0; i < 300; ++i) backend.start(ask("?"), {}, sink, {});
    EXPECT_EQ(ended, 0);
    EXPECT_GE(busy, 43);  // 256 wait, and one may be with the store
    gate.set_value();
  }
  EXPECT_EQ(ended + busy, 300) << "what was accepted is stored before the desk ends";
}

TEST(Cases, IdsDoNotRepeat) {
  std::set<std::string> ids;
  for (int i = 0; i < 2000; ++i) ids.insert(new_case_id());
  EXPECT_EQ(ids.size(), 2000U);
}

TEST(Cases, TellsTheLanguage) {
  EXPECT_EQ(language_of("How long?"), "en");
  EXPECT_EQ(language_of("SQL 报错"), "zh");
  EXPECT_EQ(language_of(""), "en");
  EXPECT_EQ(language_of("\xFF\xFE"), "en");
  EXPECT_EQ(language_of("𠀀"), "zh");
}

TEST(Cases, TheQuestionIsTheLastOfTheUser) {
  EXPECT_EQ(last_question(ask("q")), "q");
  EXPECT_EQ(last_question({}), "");
}

TEST(CaseJson, KeepsToolCallsAndImages) {
  cascade::ChatMessage call{"assistant", ""};
  call.tool_calls_json = R"([{"id":"1"}])";
  cascade::ChatMessage look{"user", "see"};
  look.images = 2;
  const json all = json::parse(messages_json({call, look}));
  EXPECT_EQ(all[0]["tool_calls"][0]["id"], "1");
  EXPECT_EQ(all[1]["images"], 2);
}

TEST(CaseJson, IsIndentedForPeople) {
  EXPECT_EQ(indented(R"([{"a":"b"}])"), "[\n  {\n    \"a\": \"b\"\n  }\n]");
  EXPECT_EQ(indented("no json"), "no json");
}

}  // namespace
}  // namespace concerto::desk
