// Shape: one kind of work whose speed is measured, the same for every contender.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace concerto::eval {

enum class Work {
  kPrefill,  // "prefill-N": one prompt of N tokens, tokens/s
  kDecode,   // "decode-N": kGenerated tokens of one stream behind N tokens of context, tokens/s
  kStreams,  // "streams-N": kGenerated tokens of each of N streams behind kStreamPrompt tokens, tokens/s in all
  kStart,    // "start": a new process computes one token and ends; seconds, and peak resident memory
  // Of a server, over HTTP:
  kPrefix,  // "prefix-N": N tokens that were answered before, with a new question: seconds to the first token
  kFork,    // "fork-N": N answers to one new prompt at once, seconds until the last one ends
  kGap,     // "gap-N": a prompt of N tokens arrives beside a running stream: its longest silence, seconds
};
constexpr bool is_served(Work work) noexcept { return work >= Work::kPrefix; }
constexpr bool in_seconds(Work work) noexcept { return work >= Work::kStart; }

struct Shape {
  Work work = Work::kPrefill;
  int count = 0;  // N
  bool operator==(const Shape&) const = default;
};

inline constexpr int kGenerated = 64;
inline constexpr int kStreamPrompt = 16;
inline constexpr int kForkPrompt = 1024;
inline constexpr int kForkTokens = 32;

// A second figure that a shape gives by the way; name empty: none.
struct SideFigure {
  std::string name;
  std::string unit;
  bool lower_is_better = false;
};
SideFigure side_figure(const Shape& shape);

std::string shape_name(const Shape& shape);

// "prefill-512,decode-0"; "quick", "served" and "full" stand for the sets below. kInvalidArgument names the part at
// fault.
base::Result<std::vector<Shape>> parse_shapes(std::string_view list);
std::vector<Shape> quick_shapes();   // prefill-512, decode-0, streams-8
std::vector<Shape> served_shapes();  // prefix-2048, fork-4, gap-2048
std::vector<Shape> full_shapes();

// Tokens that a run computes, roughly weighted by their cost: to guess how long it takes.
double effort(const Shape& shape);

}  // namespace concerto::eval
