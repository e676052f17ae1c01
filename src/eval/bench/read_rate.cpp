// What the contenders print. Nothing here trusts a number's presence, type or size; text is bounded by run_child().
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "eval/bench/contender.h"

namespace concerto::eval {
namespace {

using base::Code;
using base::fail;
using nlohmann::json;

json parse(std::string_view text) { return json::parse(text, nullptr, /*allow_exceptions=*/false); }

int integer(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return -1;
  const auto value = found->get<int64_t>();
  return value >= 0 && value <= 1 << 30 ? static_cast<int>(value) : -1;
}

base::Result<double> rate(const json& object, const char* key, const char* program) {
  const auto found = object.find(key);
  const double value = found != object.end() && found->is_number() ? found->get<double>() : 0;
  if (std::isfinite(value) && value > 0) return value;
  return fail(Code::kCorrupt, fmt::format("{}: expected a positive number \"{}\" in its JSON", program, key));
}

// An array of tests; ours asks for one.
base::Result<double> llama_bench_rate(const Shape& shape, std::string_view out) {
  const json tests = parse(out);
  if (!tests.is_array() || tests.size() != 1 || !tests[0].is_object()) {
    return fail(Code::kCorrupt, "llama-bench: expected a JSON array of one test");
  }
  const json& test = tests[0];
  const bool generates = shape.work == Work::kDecode;
  // One of them says the context in n_depth, the other in n_prompt.
  const int context = std::max(integer(test, "n_depth"), 0) + (generates ? std::max(integer(test, "n_prompt"), 0) : 0);
  const bool as_asked = generates ? integer(test, "n_gen") == kGenerated && context == shape.count
                                  : integer(test, "n_gen") == 0 && integer(test, "n_prompt") == shape.count;
  if (!as_asked) {
    return fail(Code::kCorrupt, fmt::format("llama-bench: expected a test of {}, found n_prompt {}, n_gen {}",
                                            shape_name(shape), integer(test, "n_prompt"), integer(test, "n_gen")));
  }
  return rate(test, "avg_ts", "llama-bench");
}

base::Result<double> jsonl_rate(const Shape& shape, std::string_view out) {
  std::istringstream lines{std::string(out)};
  for (std::string line; std::getline(lines, line);) {
    const json test = parse(line);
    if (test.is_object() && integer(test, "pl") == shape.count) return rate(test, "speed_tg", "llama-batched-bench");
  }
  return fail(Code::kCorrupt, fmt::format("llama-batched-bench: expected a line of JSON with \"pl\": {}", shape.count));
}

// | PP | TG | B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s | T s | S t/s |
base::Result<double> table_rate(const Shape& shape, std::string_view text) {
  constexpr size_t kStreamsCell = 2;
  constexpr size_t kRateCell = 7;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::vector<double> cells;
    std::istringstream parts(line);
    std::string cell;
    if (!std::getline(parts, cell, '|') || !cell.empty()) continue;
    while (std::getline(parts, cell, '|')) {
      const size_t begin = cell.find_first_not_of(' ');
      double value = NAN;
      if (begin != std::string::npos) (void)std::from_chars(cell.data() + begin, cell.data() + cell.size(), value);
      cells.push_back(value);
    }
    if (cells.size() <= kRateCell || cells[kStreamsCell] != shape.count) continue;
    if (std::isfinite(cells[kRateCell]) && cells[kRateCell] > 0) return cells[kRateCell];
  }
  return fail(Code::kCorrupt,
              fmt::format("llama-batched-bench: expected a row of its table with {} in column B", shape.count));
}

base::Result<double> concerto_rate(const Shape& shape, std::string_view out) {
  const json report = parse(out);
  const char* key = shape.work == Work::kPrefill ? "prefill_tokens_per_s" : "decode_tokens_per_s";
  if (!report.is_object() || !report.contains(key) || !report[key].is_object()) {
    return fail(Code::kCorrupt, fmt::format("concerto bench: expected one line of JSON with \"{}\"", key));
  }
  return rate(report[key], "median", "concerto bench");
}

}  // namespace

base::Result<double> read_rate(const Contender& contender, const Shape& shape, std::string_view out,
                               std::string_view err) {
  if (contender.kind == ContenderKind::kConcerto) return concerto_rate(shape, out);
  if (shape.work != Work::kStreams) return llama_bench_rate(shape, out);
  if (contender.kind == ContenderKind::kLlama) return jsonl_rate(shape, out);
  if (auto found = table_rate(shape, out)) return found;
  return table_rate(shape, err);  // it prints the table to stderr
}

base::Result<Probe> read_ceilings(std::string_view out) {
  const json report = parse(out);
  if (!report.is_object()) return fail(Code::kCorrupt, "concerto bench --ceilings: expected one line of JSON");
  Probe probe;
  TRY(probe.ceilings.bytes_per_s, rate(report, "memory_bytes_per_s", "concerto bench --ceilings"));
  // 0 where the processor lacks the instruction.
  if (const auto int8 = rate(report, "int8_macs_per_s", "")) probe.ceilings.int8_macs_per_s = *int8;
  return probe;
}

}  // namespace concerto::eval
