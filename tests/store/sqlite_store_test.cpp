#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "store/database.h"
#include "store/schema.h"
#include "store/store.h"

namespace concerto::store {
namespace {

using base::Code;
using ::testing::HasSubstr;

NewCase sample(const std::string& id, int64_t created_ms = 1'700'000'000'000) {
  return {id,
          "chatcmpl-1",
          "蒸馏版未覆盖case",
          "low_confidence",
          "zh",
          "合同怎么解除？",
          R"([{"role":"user","content":"合同怎么解除？"}])",
          R"([{"tier":"small","content":"也许"}])",
          created_ms};
}

class SqliteStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::temp_directory_path() / ("concerto_store_" + std::to_string(::getpid()) + "_" +
                                                       ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder);
    path = (folder / "sub" / "cases.db").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::unique_ptr<Store> open() {
    auto opened = open_sqlite({path});
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  void write(const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::string read() {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path folder;
  std::string path;
};

TEST_F(SqliteStoreTest, KeepsEveryFieldOverAReopen) {
  {
    auto store = open();
    ASSERT_TRUE(store->create_case(sample("case_a")));
  }
  auto found = open()->find_case("case_a");
  ASSERT_TRUE(found) << found.error().message;
  const NewCase expected = sample("case_a");
  EXPECT_EQ(found->request_id, expected.request_id);
  EXPECT_EQ(found->label, expected.label);
  EXPECT_EQ(found->reason, expected.reason);
  EXPECT_EQ(found->language, "zh");
  EXPECT_EQ(found->question, expected.question);
  EXPECT_EQ(found->messages_json, expected.messages_json);
  EXPECT_EQ(found->drafts_json, expected.drafts_json);
  EXPECT_EQ(found->created_ms, expected.created_ms);
  EXPECT_EQ(found->state, CaseState::kOpen);
  EXPECT_EQ(found->answer, "");
  EXPECT_FALSE(found->answered_ms);
}

TEST_F(SqliteStoreTest, KeepsZeroBytesAndEmptyTexts) {
  auto store = open();
  NewCase one = sample("case_a");
  one.question = std::string("a\0b", 3);
  one.reason.clear();
  ASSERT_TRUE(store->create_case(one));
  auto found = store->find_case("case_a");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->question, std::string("a\0b", 3));
  EXPECT_EQ(found->reason, "");
}

TEST_F(SqliteStoreTest, RefusesATakenId) {
  auto store = open();
  ASSERT_TRUE(store->create_case(sample("case_a")));
  auto again = store->create_case(sample("case_a"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kConflict);
  EXPECT_TRUE(store->create_case(sample("case_b"))) << "a failed statement must not spoil the next one";
}

TEST_F(SqliteStoreTest, RefusesWhatIsNoJson) {
  auto store = open();
  NewCase one = sample("case_a");
  one.messages_json = "[{";
  EXPECT_FALSE(store->create_case(one));
  EXPECT_FALSE(store->find_case("case_a"));
}

TEST_F(SqliteStoreTest, NamesAnUnknownId) {
  auto found = open()->find_case("case_x");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kNotFound);
  EXPECT_THAT(found.error().message, HasSubstr("case_x"));
}

TEST_F(SqliteStoreTest, AnswersOnce) {
  auto store = open();
  ASSERT_TRUE(store->create_case(sample("case_a")));
  auto answered = store->answer_case("case_a", "可以。", "li", 42);
  ASSERT_TRUE(answered) << answered.error().message;
  EXPECT_EQ(answered->state, CaseState::kAnswered);
  EXPECT_EQ(answered->answer, "可以。");
  EXPECT_EQ(answered->answered_by, "li");
  EXPECT_EQ(answered->answered_ms, 42);
  auto second = store->answer_case("case_a", "不可以。", "wang", 43);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_THAT(second.error().message, HasSubstr("li"));
  EXPECT_EQ(store->find_case("case_a")->answer, "可以。");
  auto unknown = store->answer_case("case_b", "x", "li", 1);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kNotFound);
}

TEST_F(SqliteStoreTest, AnswersOnceAmongConnectionsAndThreads) {
  auto first = open();
  auto second = open();
  for (int round = 0; round < 10; ++round) {
    const std::string id = "case_" + std::to_string(round);
    ASSERT_TRUE(first->create_case(sample(id)));
    std::atomic<int> won{0};
    std::atomic<int> conflicts{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] {
        auto done = (i % 2 == 0 ? first : second)->answer_case(id, "a" + std::to_string(i), "p", i);
        if (done) ++won;
        if (!done && done.error().code == Code::kConflict) ++conflicts;
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ(conflicts, 5);
  }
}

TEST_F(SqliteStoreTest, ListsOldestFirstByState) {
  auto store = open();
  ASSERT_TRUE(store->create_case(sample("case_b", 2)));
  ASSERT_TRUE(store->create_case(sample("case_a", 3)));
  ASSERT_TRUE(store->create_case(sample("case_c", 1)));
  ASSERT_TRUE(store->answer_case("case_b", "x", "li", 9));
  const auto ids = [&](const CaseQuery& query) {
    std::vector<std::string> out;
    const auto rows = store->list_cases(query);
    EXPECT_TRUE(rows);
    for (const auto& row : *rows) out.push_back(row.id);
    return out;
  };
  EXPECT_THAT(ids({}), ::testing::ElementsAre("case_c", "case_b", "case_a"));
  EXPECT_THAT(ids({CaseState::kOpen}), ::testing::ElementsAre("case_c", "case_a"));
  EXPECT_THAT(ids({CaseState::kAnswered}), ::testing::ElementsAre("case_b"));
  EXPECT_THAT(ids({std::nullopt, 1, 1}), ::testing::ElementsAre("case_b"));
  EXPECT_EQ(*store->count_cases(CaseState::kOpen), 2);
  EXPECT_EQ(*store->count_cases(CaseState::kAnswered), 1);
}

// Each child acknowledges a case on a pipe the moment create_case returns, then is killed without mercy.
TEST_F(SqliteStoreTest, AnAcknowledgedCaseSurvivesKillMinusNine) {
  open();
  for (int round = 0; round < 10; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const std::string id = "case_" + std::to_string(round);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = open_sqlite({path});
      if (!store || !(*store)->create_case(sample(id, round))) ::_exit(1);
      if (::write(ends[1], "!", 1) != 1) ::_exit(2);
      ::kill(::getpid(), SIGKILL);
    }
    ::close(ends[1]);
    char ack = 0;
    EXPECT_EQ(::read(ends[0], &ack, 1), 1);
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    auto found = open()->find_case(id);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->question, "合同怎么解除？");
  }
}

TEST_F(SqliteStoreTest, IsReadableByItsOwnerOnly) {
  const mode_t old = ::umask(0);
  auto store = open();
  ::umask(old);
  ASSERT_TRUE(store->create_case(sample("case_a")));
  for (const char* suffix : {"", "-wal"}) {
    struct stat info{};
    ASSERT_EQ(::stat((path + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600U) << suffix;
  }
}

TEST_F(SqliteStoreTest, LeavesAFileThatIsNoDatabase) {
  const std::string bytes(5000, 'x');
  write(bytes);
  auto opened = open_sqlite({path});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kCorrupt);
  EXPECT_THAT(opened.error().message, HasSubstr(path));
  EXPECT_THAT(opened.error().message, HasSubstr("expected an SQLite database"));
  EXPECT_EQ(read(), bytes);
}

TEST_F(SqliteStoreTest, FindsDamage) {
  {
    auto store = open();
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(store->create_case(sample("case_" + std::to_string(i), i)));
  }
  std::string bytes = read();  // closing the last connection moved the WAL into the file
  ASSERT_GT(bytes.size(), 20'000U);
  for (size_t i = 8192; i < 16'384; ++i) bytes[i] = static_cast<char>(i * 7);
  write(bytes);
  auto opened = open_sqlite({path});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kCorrupt) << opened.error().message;
  EXPECT_THAT(opened.error().message, HasSubstr(path));
  EXPECT_EQ(read().size(), bytes.size());
}

TEST_F(SqliteStoreTest, RefusesANewerSchema) {
  open();
  {
    auto database = Database::open(path, 100);
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->execute("PRAGMA user_version = 99"));
  }
  auto opened = open_sqlite({path});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kUnsupported);
  EXPECT_THAT(opened.error().message, HasSubstr("found 99"));
}

TEST_F(SqliteStoreTest, RefusesAnotherProgramsDatabase) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  {
    auto database = Database::open(path, 100);
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->execute("CREATE TABLE bookmarks (url TEXT)"));
  }
  auto opened = open_sqlite({path});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kUnsupported);
  EXPECT_THAT(opened.error().message, HasSubstr("another program's"));
}

TEST_F(SqliteStoreTest, SaysThatAnotherProcessHoldsTheLock) {
  auto store = open_sqlite({path, 50});
  ASSERT_TRUE(store);
  auto other = Database::open(path, 50);
  ASSERT_TRUE(other);
  ASSERT_TRUE((*other)->execute("BEGIN IMMEDIATE"));
  auto refused = (*store)->create_case(sample("case_a"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("locked"));
  EXPECT_THAT(refused.error().message, HasSubstr(path));
  ASSERT_TRUE((*other)->execute("ROLLBACK"));
  EXPECT_TRUE((*store)->create_case(sample("case_a")));
}

TEST_F(SqliteStoreTest, NamesAFolderItMayNotUse) {
  write("");
  path += "/cases.db";  // a file where a folder should be
  auto opened = open_sqlite({path});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kIo);
  EXPECT_THAT(opened.error().message, HasSubstr("cases.db"));
}

}  // namespace
}  // namespace concerto::store
