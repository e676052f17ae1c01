#include "eval/bench/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace concerto::eval {

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  const double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  return {median, values.front(), values.back()};
}

const Column* best_peer(const Row& row) {
  const Column* best = nullptr;
  double best_median = 0;
  for (size_t i = 1; i < row.columns.size(); ++i) {
    const Column& column = row.columns[i];
    if (column.values.empty()) continue;
    const double median = spread_of(column.values).median;
    if (best == nullptr || (row.lower_is_better ? median < best_median : median > best_median)) {
      best = &column;
      best_median = median;
    }
  }
  return best;
}

Probe ceilings_of(const Row& row) {
  Probe best;
  for (const Probe& probe : row.probes) {
    best.ceilings.int8_macs_per_s = std::max(best.ceilings.int8_macs_per_s, probe.ceilings.int8_macs_per_s);
    best.ceilings.bytes_per_s = std::max(best.ceilings.bytes_per_s, probe.ceilings.bytes_per_s);
    best.load = std::max(best.load, probe.load);
  }
  return best;
}

double ceiling_of(const Row& row) {
  const Probe best = ceilings_of(row);
  return ceiling_of(row.pass, best.ceilings.int8_macs_per_s, best.ceilings.bytes_per_s);
}

double intensity_of(const Row& row) { return row.pass.bytes > 0 ? row.pass.macs / row.pass.bytes : 0; }

std::string figure(double value) {
  const double size = std::abs(value);
  if (size >= 1000) return fmt::format("{:.0f}", value);
  if (size >= 100) return fmt::format("{:.1f}", value);
  if (size >= 1) return fmt::format("{:.2f}", value);
  return fmt::format("{:.3f}", value);
}

std::string figures(const std::vector<double>& values) {
  if (values.empty()) return {};
  const Spread spread = spread_of(values);
  if (values.size() == 1) return figure(spread.median);
  return fmt::format("{} ({}-{})", figure(spread.median), figure(spread.low), figure(spread.high));
}

}  // namespace concerto::eval
