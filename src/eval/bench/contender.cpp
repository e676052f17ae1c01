#include "eval/bench/contender.h"

#include <fmt/format.h>

namespace concerto::eval {

Contender ourselves(const std::string& program) { return {ContenderKind::kConcerto, "concerto", program, {}, {}, {}}; }

std::vector<Contender> peers_below(const std::string& dir) {
  const std::string llama = dir + "/llama.cpp/build/bin";
  const std::string ik = dir + "/ik_llama.cpp/build/bin";
  return {
      {ContenderKind::kLlama, "llama.cpp --repack 1", llama, {"--repack", "1"}, {"--repack"}, {}},
      {ContenderKind::kLlama,
       "llama.cpp --repack 0 -fa on",
       llama,
       {"--repack", "0", "-fa", "on"},
       {"--no-repack", "-fa", "on"},
       {}},
      {ContenderKind::kIkLlama, "ik_llama.cpp", ik, {"-rtr", "0"}, {}, {"-no-fa"}},
      {ContenderKind::kIkLlama, "ik_llama.cpp -rtr 1", ik, {"-rtr", "1"}, {"--run-time-repack"}, {"-no-fa"}},
  };
}

std::string program_of(const Contender& contender, const Shape& shape) {
  if (contender.kind == ContenderKind::kConcerto) return contender.program;
  if (is_served(shape.work)) return contender.program + "/llama-server";
  return contender.program + (shape.work == Work::kStreams ? "/llama-batched-bench" : "/llama-bench");
}

int server_slots(const Shape& shape) { return shape.work == Work::kFork ? shape.count : 2; }

int server_context(const Shape& shape) {
  constexpr int kAnswer = 1024;  // the answers, and words of several tokens
  const int prompt = shape.work == Work::kFork ? kForkPrompt : shape.count;
  return (2 * prompt + kAnswer + 255) / 256 * 256;
}

namespace {

using Words = std::vector<std::string>;

void append(Words& words, const Words& more) { words.insert(words.end(), more.begin(), more.end()); }

Words our_flags(const Shape& shape) {
  const auto numbers = [](int prompt, int depth, int generate, int streams) {
    return Words{"--prompt",   std::to_string(prompt),   "--depth",   std::to_string(depth),
                 "--generate", std::to_string(generate), "--streams", std::to_string(streams)};
  };
  Words words;
  switch (shape.work) {
    case Work::kPrefill:
      return numbers(shape.count, 1, 0, 1);
    case Work::kDecode:  // a generation needs some prompt; one token more than asked, as its first is not counted
      return numbers(0, std::max(shape.count, 1), kGenerated + 1, 1);
    case Work::kStreams:
      return numbers(0, kStreamPrompt, kGenerated + 1, shape.count);
    case Work::kStart:
      words = numbers(1, 1, 0, 1);
      words.emplace_back("--no-warmup");
      return words;
    case Work::kPrefix:
    case Work::kFork:
    case Work::kGap:
      break;  // server_command()
  }
  return words;
}

Words bench_flags(ContenderKind kind, const Shape& shape) {
  const std::string n = std::to_string(shape.count);
  const std::string tokens = std::to_string(kGenerated);
  if (shape.work == Work::kPrefill) return {"-p", n, "-n", "0"};
  if (shape.work == Work::kStart) {
    if (kind == ContenderKind::kLlama) return {"-p", "1", "-n", "0", "--no-warmup"};
    return {"-p", "1", "-n", "0", "-w", "0"};
  }
  if (shape.count == 0) return {"-p", "0", "-n", tokens};
  if (kind == ContenderKind::kLlama) return {"-p", "0", "-n", tokens, "-d", n};
  return {"-p", "0", "-n", "0", "-gp", n + "," + tokens};
}

}  // namespace

std::vector<std::string> server_command(const Contender& contender, const Shape& shape, const std::string& model,
                                        int threads, int port) {
  Words words = {program_of(contender, shape)};
  const std::string at = std::to_string(port);
  if (contender.kind == ContenderKind::kConcerto) {
    append(words, {"serve", "--config", "concerto.toml", "--port", at, "-t", std::to_string(threads)});
    return words;
  }
  const int slots = server_slots(shape);
  append(words, {"-m", model, "-t", std::to_string(threads), "--host", "127.0.0.1", "--port", at, "-np",
                 std::to_string(slots), "-c", std::to_string(slots * server_context(shape))});
  append(words, contender.batched_flags);
  return words;
}

std::vector<std::string> command_of(const Contender& contender, const Shape& shape, const std::string& model,
                                    int threads, bool rescue) {
  Words words = {program_of(contender, shape)};
  if (contender.kind == ContenderKind::kConcerto) {
    append(words, {"bench", model, "--json", "--repeat", "1", "-t", std::to_string(threads)});
    append(words, our_flags(shape));
    return words;
  }
  append(words, {"-m", model, "-t", std::to_string(threads)});
  if (shape.work == Work::kStreams) {
    const int context = shape.count * (kStreamPrompt + kGenerated);
    append(words, {"-c", std::to_string((context + 255) / 256 * 256), "-npp", std::to_string(kStreamPrompt), "-ntg",
                   std::to_string(kGenerated), "-npl", std::to_string(shape.count)});
    if (contender.kind == ContenderKind::kLlama) append(words, {"--output-format", "jsonl"});
    append(words, contender.batched_flags);
    if (rescue) append(words, contender.batched_rescue);
    return words;
  }
  append(words, {"-r", "1", "-o", "json"});
  append(words, bench_flags(contender.kind, shape));
  append(words, contender.flags);
  return words;
}

}  // namespace concerto::eval
