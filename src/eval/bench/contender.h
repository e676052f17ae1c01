// Contender: a program that can be asked for a shape's speed, with the flags that make it fastest; and how to read what
// it prints.
//
// The peers are llama.cpp (github.com/ggml-org/llama.cpp) and ik_llama.cpp (github.com/ikawrakow/ik_llama.cpp), each as
// its own benchmark programs built below DIR/NAME/build/bin. Which flags are the best depends on processor and model:
// each plausible set is a contender of its own, and the fastest one counts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/bench/results.h"
#include "eval/bench/shape.h"

namespace concerto::eval {

enum class ContenderKind { kConcerto, kLlama, kIkLlama };

struct Contender {
  ContenderKind kind = ContenderKind::kConcerto;
  std::string name;                // for people: "llama.cpp --repack 0 -fa on"
  std::string program;             // concerto itself, or the folder that holds llama-bench and llama-batched-bench
  std::vector<std::string> flags;  // of llama-bench
  std::vector<std::string> batched_flags;  // of llama-batched-bench, which spells them differently
  // Added when a batched run fails; ik_llama.cpp's flash attention aborts on several streams of heads of 64.
  std::vector<std::string> batched_rescue;
};

// program: the path of our own executable.
Contender ourselves(const std::string& program);
// All sets of flags of all peers, whether or not they were built.
std::vector<Contender> peers_below(const std::string& dir);

// The program that measures the shape, which may not exist.
std::string program_of(const Contender& contender, const Shape& shape);
// A server for a served shape; ours reads concerto.toml in its working folder.
std::vector<std::string> server_command(const Contender& contender, const Shape& shape, const std::string& model,
                                        int threads, int port);
// Requests at once, and the tokens of one, that the shape asks of a server.
int server_slots(const Shape& shape);
int server_context(const Shape& shape);
std::vector<std::string> command_of(const Contender& contender, const Shape& shape, const std::string& model,
                                    int threads, bool rescue);

// Tokens/s in what the command printed. kCorrupt says what was expected. Not for kStart, whose time is the process's.
base::Result<double> read_rate(const Contender& contender, const Shape& shape, std::string_view out,
                               std::string_view err);

// What `concerto bench --ceilings --json` prints.
base::Result<Probe> read_ceilings(std::string_view out);

}  // namespace concerto::eval
