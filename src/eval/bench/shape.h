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
};

struct Shape {
  Work work = Work::kPrefill;
  int count = 0;  // N
  bool operator==(const Shape&) const = default;
};

inline constexpr int kGenerated = 64;
inline constexpr int kStreamPrompt = 16;

std::string shape_name(const Shape& shape);

// "prefill-512,decode-0"; "quick" and "full" stand for the sets below. kInvalidArgument names the part at fault.
base::Result<std::vector<Shape>> parse_shapes(std::string_view list);
std::vector<Shape> quick_shapes();  // prefill-512, decode-0, streams-8
std::vector<Shape> full_shapes();

// Tokens that a run computes, roughly weighted by their cost: to guess how long it takes.
double effort(const Shape& shape);

}  // namespace concerto::eval
