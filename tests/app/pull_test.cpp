// `concerto pull` as a program: killed at any moment, it goes on; what it prints; how it ends.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "app/model_path.h"
#include "fetch/mirror.h"
#include "fetch/scratch.h"

extern char** environ;

namespace concerto::app {
namespace {

using fetch::Mirror;
using fetch::MirrorRequest;
using fetch::MirrorResponse;
using ::testing::HasSubstr;

class PullProgramTest : public ::testing::Test {
 protected:
  // Standard output and error go to files of the scratch folder.
  pid_t start(std::vector<std::string> words) const {
    words.insert(words.begin(), {CONCERTO_PROGRAM, "pull", "--dir", scratch / "models"});
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    const std::string out = scratch / "out";
    const std::string err = scratch / "err";
    posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child = -1;
    EXPECT_EQ(posix_spawn(&child, CONCERTO_PROGRAM, &files, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
    return child;
  }
  static int end_of(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int run(std::vector<std::string> words) const { return end_of(start(std::move(words))); }
  std::string out() const { return fetch::read_all(scratch / "out"); }
  std::string err() const { return fetch::read_all(scratch / "err"); }

  fetch::Scratch scratch;
};

TEST_F(PullProgramTest, KilledAgainAndAgainItFetchesEachByteOnce) {
  const std::string body = fetch::some_bytes(8'000'000);
  Mirror mirror([&](const MirrorRequest&) {
    return MirrorResponse{.fields = {{"ETag", "\"1\""}}, .body = body, .delay_us_per_kb = 100};
  });
  const std::string file = scratch / "models/demo.gguf";
  int killed = 0;
  for (; killed < 100 && !fetch::exists(file); ++killed) {
    const uint64_t before = mirror.sent();
    const pid_t child = start({mirror.url("/demo.gguf")});
    while (mirror.sent() < before + 1'500'000 && !fetch::exists(file)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ::kill(child, SIGKILL);
    end_of(child);
  }
  ASSERT_GE(killed, 4);
  EXPECT_EQ(run({mirror.url("/demo.gguf"), "--sha256", fetch::hash_of(body), "--json"}), 0) << err();
  EXPECT_EQ(fetch::read_all(file), body);
  EXPECT_EQ(nlohmann::json::parse(out())["published"], true);
  // What was under way in the sockets when it was killed is sent again; of what arrived, nothing.
  uint64_t from = 0;
  for (const MirrorRequest& request : mirror.requests()) {
    if (const auto range = request.fields.find("range"); range != request.fields.end()) {
      const uint64_t at = std::stoull(range->second.substr(6));
      EXPECT_GT(at, from);
      from = at;
    }
  }
  EXPECT_GT(from, 4'000'000U);
}

TEST_F(PullProgramTest, InterruptedItSaysSo) {
  Mirror mirror([&](const MirrorRequest&) {
    return MirrorResponse{.body = fetch::some_bytes(1'000'000), .cut_after = 500'000, .stall_ms = 20'000};
  });
  const pid_t child = start({mirror.url("/demo.gguf")});
  while (mirror.sent() < 500'000) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGINT);
  EXPECT_EQ(end_of(child), 130);
  EXPECT_THAT(err(), HasSubstr("stopped; what has arrived is kept"));
  EXPECT_FALSE(fetch::exists(scratch / "models/demo.gguf"));
}

TEST_F(PullProgramTest, TeachesAndRefuses) {
  EXPECT_EQ(run({"--list", "--json"}), 0);
  const auto rows = nlohmann::json::parse(out());
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["name"], "smollm2-135m-instruct-q4_1");
  EXPECT_EQ(rows[0]["path"], nullptr);
  EXPECT_EQ(run({}), 2);
  EXPECT_THAT(err(), HasSubstr("concerto pull --list"));
  EXPECT_EQ(run({"smollm2-135m-instruct-q4_2"}), 1);
  EXPECT_THAT(err(), HasSubstr("did you mean smollm2-135m-instruct-q4_1?"));
  EXPECT_EQ(run({"--stall", "0", "x"}), 2);
}

TEST(ModelPathTest, AMissingKnownModelSaysHowToGetIt) {
  const fetch::Scratch scratch;
  const char* set = std::getenv("CONCERTO_MODELS");
  const std::string before = set == nullptr ? "" : set;
  ::setenv("CONCERTO_MODELS", scratch.path().c_str(), 1);
  std::filesystem::create_directories(scratch / "a-folder");
  fetch::write_all(scratch / "a-folder/config.json", "{}");
  const auto missing = find_model("smollm2-135m-instruct-q4_1");
  const std::string known = how_to_get(scratch / "smollm2-135m-instruct-q4_1.gguf");
  const std::string elsewhere = how_to_get("/elsewhere/smollm2-135m-instruct-q4_1.gguf");
  const auto names = known_models();
  const auto folder = find_model("a-folder");
  ::unsetenv("CONCERTO_MODELS");
  if (!before.empty()) ::setenv("CONCERTO_MODELS", before.c_str(), 1);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("`concerto pull smollm2-135m-instruct-q4_1` fetches it"));
  EXPECT_EQ(known, "`concerto pull smollm2-135m-instruct-q4_1` fetches it");
  EXPECT_EQ(elsewhere, "put the model there");
  EXPECT_EQ(names, std::vector<std::string>{"a-folder"});
  EXPECT_TRUE(folder);
}

}  // namespace
}  // namespace concerto::app
