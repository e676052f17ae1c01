// What the peers' programs printed when they were run on SmolLM2-135M, and what they might print.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "eval/bench/child.h"
#include "eval/bench/contender.h"
#include "eval/bench/served.h"

namespace concerto::eval {
namespace {

std::string recorded(const std::string& name) {
  std::ifstream in(std::string(CONCERTO_TEST_DATA) + "/peers/" + name);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

const Contender& llama() {
  static const Contender peer = peers_below("peers").front();
  return peer;
}
const Contender& ik() {
  static const Contender peer = peers_below("peers").back();
  return peer;
}

TEST(ReadRate, RecordedOutputs) {
  const auto rate = [](const Contender& peer, Shape shape, const std::string& out, const std::string& err = "") {
    const auto read = read_rate(peer, shape, out, err);
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    return read.value_or(0);
  };
  EXPECT_DOUBLE_EQ(rate(llama(), {Work::kPrefill, 16}, recorded("llama_prefill_16.json")), 6.357185);
  EXPECT_DOUBLE_EQ(rate(llama(), {Work::kDecode, 64}, recorded("llama_decode_64.json")), 1.949258);
  EXPECT_DOUBLE_EQ(rate(ik(), {Work::kDecode, 64}, recorded("ik_decode_64.json")), 4.569108);
  EXPECT_DOUBLE_EQ(rate(ik(), {Work::kDecode, 0}, recorded("ik_decode_0.json")), 18.257547);
  EXPECT_DOUBLE_EQ(rate(llama(), {Work::kStreams, 2}, recorded("llama_streams_2.jsonl")), 11.527203);
  EXPECT_DOUBLE_EQ(rate(ik(), {Work::kStreams, 2}, "", recorded("ik_streams_2.stderr")), 11.80);
}

TEST(ReadRate, AnotherTestThanAskedForIsAnError) {
  EXPECT_FALSE(read_rate(llama(), {Work::kPrefill, 512}, recorded("llama_prefill_16.json"), ""));
  EXPECT_FALSE(read_rate(llama(), {Work::kDecode, 0}, recorded("llama_decode_64.json"), ""));
  EXPECT_FALSE(read_rate(ik(), {Work::kDecode, 4096}, recorded("ik_decode_64.json"), ""));
  EXPECT_FALSE(read_rate(llama(), {Work::kStreams, 8}, recorded("llama_streams_2.jsonl"), ""));
  EXPECT_FALSE(read_rate(ik(), {Work::kStreams, 8}, "", recorded("ik_streams_2.stderr")));
}

TEST(ReadRate, NonsenseIsAnError) {
  const Contender ours = ourselves("concerto");
  for (const std::string text :
       {"", "[", "{}", "[]", "[[]]", "null", "[{}]", "|", "|||||||||", "\xff\xfe",
        R"([{"n_prompt":16,"n_gen":0,"avg_ts":"fast"}])", R"([{"n_prompt":16,"n_gen":0,"avg_ts":-1}])",
        R"([{"n_prompt":16,"n_gen":0,"avg_ts":1e999}])", R"({"prefill_tokens_per_s":7})",
        R"({"prefill_tokens_per_s":{"median":0}})", R"({"pl":2,"speed_tg":null})"}) {
    for (const Contender& one : {llama(), ik(), ours}) {
      for (const Shape shape : {Shape{Work::kPrefill, 16}, Shape{Work::kDecode, 0}, Shape{Work::kStreams, 2}}) {
        EXPECT_FALSE(read_rate(one, shape, text, text)) << one.name << " " << shape_name(shape) << " " << text;
      }
    }
    EXPECT_FALSE(read_ceilings(text)) << text;
  }
  EXPECT_FALSE(read_rate(llama(), {Work::kPrefill, 16}, std::string(100'000, '['), ""));
}

TEST(Commands, EachPeerIsAskedInItsOwnWords) {
  EXPECT_EQ(shell_words(command_of(llama(), {Work::kDecode, 4096}, "m.gguf", 2, false)),
            "peers/llama.cpp/build/bin/llama-bench -m m.gguf -t 2 -r 1 -o json -p 0 -n 64 -d 4096 --repack 1");
  EXPECT_EQ(shell_words(command_of(ik(), {Work::kDecode, 4096}, "m.gguf", 2, false)),
            "peers/ik_llama.cpp/build/bin/llama-bench -m m.gguf -t 2 -r 1 -o json -p 0 -n 0 -gp 4096,64 -rtr 1");
  EXPECT_EQ(shell_words(command_of(ik(), {Work::kStreams, 8}, "my model.gguf", 2, true)),
            "peers/ik_llama.cpp/build/bin/llama-batched-bench -m 'my model.gguf' -t 2 -c 768 -npp 16 -ntg 64 -npl 8 "
            "--run-time-repack -no-fa");
  EXPECT_EQ(shell_words(command_of(ourselves("concerto"), {Work::kStreams, 8}, "m.gguf", 2, false)),
            "concerto bench m.gguf --json --repeat 1 -t 2 --prompt 0 --depth 16 --generate 65 --streams 8");
}

TEST(Shapes, NamesGoBothWays) {
  const auto shapes = parse_shapes("full");
  ASSERT_TRUE(shapes);
  std::string names;
  for (const Shape& shape : *shapes) names.append(names.empty() ? "" : ",").append(shape_name(shape));
  EXPECT_EQ(names,
            "prefill-16,prefill-64,prefill-512,prefill-4096,decode-0,decode-4096,streams-2,streams-4,streams-8,start,"
            "prefix-2048,fork-4,gap-2048");
  EXPECT_EQ(parse_shapes("served").value().size(), 3U);
  EXPECT_EQ(parse_shapes(names).value(), *shapes);
  EXPECT_EQ(parse_shapes("decode-0,quick,decode-0").value().size(), 3U);
  for (const char* wrong : {"", "prefill", "prefill-", "prefill-0", "prefill-5x", "streams-257", "decode--1", "start,",
                            "decode-99999999999999999999"}) {
    EXPECT_FALSE(parse_shapes(wrong)) << wrong;
  }
}

TEST(Child, OutputStatusTimeAndMemory) {
  const auto run =
      run_child({"sh", "-c", "echo out; echo err >&2; echo \"$EXTRA\"; pwd; exit 3"}, "/", {"EXTRA=yes"}, 10);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->exit_code, 3);
  EXPECT_EQ(run->out, "out\nyes\n/\n");
  EXPECT_EQ(run->err, "err\n");
  EXPECT_GT(run->peak_resident_bytes, 100e3);
  EXPECT_EQ(run_child({"sh", "-c", "kill -9 $$"}, "", {}, 10)->exit_code, 137);
}

TEST(Child, AServerEndsWhenAsked) {
  const auto started = std::chrono::steady_clock::now();
  const base::CancelToken stop;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop.cancel();
  });
  const auto run =
      run_child({"sh", "-c", "trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done"}, "", {}, 60, &stop);
  later.join();
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->exit_code, 7);
  EXPECT_EQ(run->out, "bye\n");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));
}

TEST(Served, CommandsAndPrompts) {
  EXPECT_EQ(
      shell_words(server_command(llama(), {Work::kFork, 4}, "m.gguf", 2, 4242)),
      "peers/llama.cpp/build/bin/llama-server -m m.gguf -t 2 --host 127.0.0.1 --port 4242 -np 4 -c 12288 --repack");
  EXPECT_EQ(shell_words(server_command(ourselves("concerto"), {Work::kGap, 2048}, "m.gguf", 2, 4242)),
            "concerto serve --config concerto.toml --port 4242 -t 2");
  const std::string words = words_of(100, 1);
  EXPECT_EQ(std::ranges::count(words, ' '), 99);
  EXPECT_EQ(words, words_of(100, 1));
  EXPECT_NE(words.substr(0, 30), words_of(100, 2).substr(0, 30));
}

TEST(Child, LongOutputIsCutAndTheEndOfErrorsKept) {
  const auto run = run_child({"sh", "-c", "yes | head -c 3000000; (yes | head -c 3000000; echo end) >&2"}, "", {}, 30);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->out.size(), size_t{1} << 20);
  EXPECT_LE(run->err.size(), size_t{128} << 10);
  EXPECT_EQ(last_lines(run->err, 1), "end");
}

TEST(Child, MissingAndHangingPrograms) {
  EXPECT_EQ(run_child({"/nowhere/program"}, "", {}, 10).error().code, base::Code::kIo);
  const auto hung = run_child({"sh", "-c", "echo still here >&2; exec sleep 60"}, "", {}, 0.3);
  ASSERT_FALSE(hung);
  EXPECT_EQ(hung.error().code, base::Code::kTimeout);
  EXPECT_NE(hung.error().message.find("still here"), std::string::npos) << hung.error().message;
}

TEST(TellingLines, AnAssertionBeforeAStackTrace) {
  EXPECT_EQ(telling_lines(recorded("ik_abort.stderr"), 4),
            "peers/ik_llama.cpp/ggml/src/./iqk/fa/iqk_fa_templates.h:1157: GGML_ASSERT(S > 0) failed");
  EXPECT_EQ(telling_lines("a\nb\n\n \nc\n", 2), "b\nc");
  EXPECT_EQ(telling_lines("", 2), "");
}

}  // namespace
}  // namespace concerto::eval
