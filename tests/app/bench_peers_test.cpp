// `concerto bench --vs-peers` from the command line to the files it writes: the real program and model, false peers.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/paths.h"
#include "eval/bench/child.h"

namespace concerto::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kModel = "smollm2-135m-instruct-q4_1.gguf";

std::string read(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class BenchPeers : public ::testing::Test {
 protected:
  void SetUp() override {
    model = models_folder() + "/" + kModel;
    if (!fs::exists(model)) GTEST_SKIP() << model << " is not there: run ./test models";
    std::string name = (fs::temp_directory_path() / "concerto-peers-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override {
    std::error_code ignored;
    if (!folder.empty()) fs::remove_all(folder, ignored);
  }
  void peer(const std::string& name, const std::string& program, const std::string& script) const {
    const fs::path path = folder / name / "build/bin" / program;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "#!/bin/sh\n" << script;
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  }
  [[nodiscard]] eval::ChildRun bench(std::vector<std::string> flags) const {
    std::vector<std::string> argv = {CONCERTO_PROGRAM, "bench", model, "--vs-peers", folder.string(), "--pairs", "1"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    auto run = eval::run_child(argv, "", {}, 240);
    EXPECT_TRUE(run) << run.error().message;
    return run ? *run : eval::ChildRun{};
  }

  std::string model;
  fs::path folder;
};

TEST_F(BenchPeers, OneThatWorksOneThatFailsInEveryReport) {
  const std::string data = std::string(CONCERTO_TEST_DATA) + "/peers/";
  peer("llama.cpp", "llama-bench",
       "case \"$*\" in *--version*) echo 'version: 9.8.7' ;; *'--repack 1'*) echo 'error: no such flag' >&2; exit 2 ;; "
       "*) cat '" +
           data + "llama_prefill_16.json' ;; esac\n");
  peer("ik_llama.cpp", "llama-bench", "cat '" + data + "ik_abort.stderr' >&2\nkill -6 $$\n");
  const fs::path out = folder / "deep" / "out";
  const eval::ChildRun run = bench({"--shapes", "prefill-16", "--out", out.string(), "--markdown"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.err.find("pair 1 of 1, llama.cpp --repack 0 -fa on"), std::string::npos) << run.err;

  const json results = json::parse(read(out / "results.json"));
  EXPECT_EQ(results["peers"][0]["name"], "llama.cpp");
  EXPECT_NE(results["peers"][0]["version"].get<std::string>().find("9.8.7"), std::string::npos);
  const json& row = results["models"][0]["rows"][0];
  EXPECT_EQ(row["name"], "prefill-16");
  EXPECT_EQ(row["best_peer"], "llama.cpp --repack 0 -fa on");
  const json& columns = row["contenders"];
  ASSERT_EQ(columns.size(), 5U);
  EXPECT_EQ(columns[0]["value"]["samples"].size(), 4U);  // beside each peer
  EXPECT_EQ(columns[2]["value"]["median"], 6.357185);
  const double ours = columns[0]["value"]["samples"][1];
  EXPECT_DOUBLE_EQ(row["ratio"]["median"].get<double>(), ours / 6.357185);
  EXPECT_EQ(columns[1]["failure"], "exit code 2\nerror: no such flag");
  EXPECT_NE(columns[3]["failure"].get<std::string>().find("GGML_ASSERT(S > 0) failed"), std::string::npos);
  EXPECT_GT(row["probes"][0]["bytes_per_s"].get<double>(), 1e8);

  const std::string page = read(out / "report.html");
  for (const std::string& text : {run.out, page}) {
    for (const std::string wanted : {"6.36", "9.8.7", "no such flag", "GGML_ASSERT"}) {
      EXPECT_NE(text.find(wanted), std::string::npos) << wanted;
    }
  }
}

TEST_F(BenchPeers, WithoutPeersOursIsMeasuredAndTheyAreNamed) {
  const eval::ChildRun run = bench({"--shapes", "start", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json results = json::parse(run.out);
  EXPECT_EQ(results["left_out"].size(), 2U) << results["left_out"];
  const json& rows = results["models"][0]["rows"];
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0]["name"], "start");
  EXPECT_GT(rows[0]["contenders"][0]["value"]["median"].get<double>(), 0);
  EXPECT_EQ(rows[1]["name"], "memory");
  EXPECT_GT(rows[1]["contenders"][0]["value"]["median"].get<double>(), 98);  // MB: the file's weights at least
}

TEST_F(BenchPeers, ServersAreAskedOverHttp) {
  const eval::ChildRun run = bench({"--shapes", "prefix-128,fork-2,gap-128", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json results = json::parse(run.out);
  std::map<std::string, double> figures;
  for (const json& row : results["models"][0]["rows"]) {
    ASSERT_TRUE(row["contenders"][0].contains("value")) << row;
    figures[row["name"]] = row["contenders"][0]["value"]["median"];
  }
  ASSERT_EQ(figures.size(), 5U) << run.out;
  EXPECT_GT(figures["prefix-128"], 0);
  EXPECT_GT(figures["prefix-128 of cold"], 0);
  EXPECT_LT(figures["prefix-128 of cold"], 100);  // %: the prefix was not computed twice
  EXPECT_GT(figures["fork-2 against 2 prompts"], 1);
  EXPECT_GT(figures["gap-128"], 0);
  EXPECT_LT(figures["gap-128"], 5);
}

TEST_F(BenchPeers, GoesOnWithWhatAnInterruptedRunLeft) {
  const std::string out = (folder / "out").string();
  const fs::path file = fs::path(out) / "results.json";
  ASSERT_EQ(bench({"--shapes", "start", "--out", out}).exit_code, 0);
  json left = json::parse(read(file));
  EXPECT_EQ(left["complete"], true);
  left["complete"] = false;
  left["models"][0]["rows"][0]["contenders"][0]["value"]["samples"][0] = 12.5;
  std::ofstream(file) << left.dump();
  ASSERT_EQ(bench({"--shapes", "start,prefill-16", "--out", out}).exit_code, 0);
  json whole = json::parse(read(file));
  const json& rows = whole["models"][0]["rows"];
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0]["contenders"][0]["value"]["median"], 12.5);  // not measured again
  EXPECT_EQ(rows[1]["name"], "memory");
  EXPECT_EQ(rows[2]["name"], "prefill-16");
  // Another way of measuring, or a run that had come to its end, is a new comparison.
  whole["complete"] = false;
  whole["pairs"] = 5;
  std::ofstream(file) << whole.dump();
  ASSERT_EQ(bench({"--shapes", "start", "--out", out}).exit_code, 0);
  EXPECT_NE(json::parse(read(file))["models"][0]["rows"][0]["contenders"][0]["value"]["median"], 12.5);
}

TEST_F(BenchPeers, WrongShapesAreAUsageError) {
  const eval::ChildRun run = bench({"--shapes", "prefil-16"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("found 'prefil-16'"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace concerto::app
