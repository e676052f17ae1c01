#include "eval/bench/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace concerto::eval {
namespace {

struct Kind {
  std::string_view prefix;
  Work work;
  int low, high;  // of N
};
constexpr Kind kKinds[] = {{"prefill-", Work::kPrefill, 1, 1 << 20},
                           {"decode-", Work::kDecode, 0, 1 << 20},
                           {"streams-", Work::kStreams, 1, 256},
                           {"prefix-", Work::kPrefix, 64, 1 << 16},
                           {"fork-", Work::kFork, 2, 16},
                           {"gap-", Work::kGap, 64, 1 << 16}};

base::Result<Shape> parse_shape(std::string_view name) {
  if (name == "start") return Shape{Work::kStart, 0};
  for (const Kind& kind : kKinds) {
    if (!name.starts_with(kind.prefix)) continue;
    const std::string_view digits = name.substr(kind.prefix.size());
    int count = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (error == std::errc() && end == digits.data() + digits.size() && count >= kind.low && count <= kind.high) {
      return Shape{kind.work, count};
    }
  }
  return base::fail(
      base::Code::kInvalidArgument,
      fmt::format("shapes: expected prefill-N, decode-N, streams-N, start, prefix-N, fork-N, gap-N, quick, served or "
                  "full, found '{}'",
                  name));
}

}  // namespace

std::string shape_name(const Shape& shape) {
  for (const Kind& kind : kKinds) {
    if (kind.work == shape.work) return fmt::format("{}{}", kind.prefix, shape.count);
  }
  return "start";
}

std::vector<Shape> quick_shapes() { return {{Work::kPrefill, 512}, {Work::kDecode, 0}, {Work::kStreams, 8}}; }

std::vector<Shape> full_shapes() {
  return {{Work::kPrefill, 16}, {Work::kPrefill, 64},  {Work::kPrefill, 512}, {Work::kPrefill, 4096},
          {Work::kDecode, 0},   {Work::kDecode, 4096}, {Work::kStreams, 2},   {Work::kStreams, 4},
          {Work::kStreams, 8},  {Work::kStart, 0},     {Work::kPrefix, 2048}, {Work::kFork, 4},
          {Work::kGap, 2048}};
}

std::vector<Shape> served_shapes() { return {{Work::kPrefix, 2048}, {Work::kFork, 4}, {Work::kGap, 2048}}; }

SideFigure side_figure(const Shape& shape) {
  if (shape.work == Work::kStart) return {"memory", "MB", true};
  if (shape.work == Work::kPrefix) return {shape_name(shape) + " of cold", "%", true};
  if (shape.work == Work::kFork)
    return {fmt::format("{} against {} prompts", shape_name(shape), shape.count), "x", false};
  return {};
}

base::Result<std::vector<Shape>> parse_shapes(std::string_view list) {
  std::vector<Shape> shapes;
  const auto add = [&](const Shape& shape) {
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  };
  while (true) {
    const size_t comma = list.find(',');
    const std::string_view name = list.substr(0, comma);
    if (name == "quick" || name == "full" || name == "served") {
      for (const Shape& shape : name == "quick" ? quick_shapes() : name == "full" ? full_shapes() : served_shapes()) {
        add(shape);
      }
    } else {
      TRY(const Shape shape, parse_shape(name));
      add(shape);
    }
    if (comma == std::string_view::npos) return shapes;
    list.remove_prefix(comma + 1);
  }
}

double effort(const Shape& shape) {
  constexpr double kStartCost = 300;  // loading, warming up: about so many prompt tokens
  constexpr double kPassCost = 5;     // a pass of one token against one token of a long prompt
  switch (shape.work) {
    case Work::kPrefill:
      return kStartCost + 2.0 * shape.count;
    case Work::kDecode:
      return kStartCost + shape.count + kPassCost * kGenerated;
    case Work::kStreams:
      return kStartCost + kPassCost * kGenerated + shape.count * (kStreamPrompt + kGenerated);
    case Work::kStart:
      return kStartCost;
    case Work::kPrefix:
      return kStartCost + shape.count;
    case Work::kFork:
      return kStartCost + (shape.count + 1) * kForkPrompt + 2 * kPassCost * kForkTokens;
    case Work::kGap:
      return kStartCost + 2 * shape.count;
  }
  return kStartCost;
}

}  // namespace concerto::eval
