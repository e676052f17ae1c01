#include "eval/bench/roofline_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace concerto::eval {
namespace {

constexpr double kWidth = 860;
constexpr double kHeight = 440;
constexpr double kLeft = 70;
constexpr double kRight = 150;
constexpr double kTop = 20;
constexpr double kBottom = 50;

struct Axis {
  double low, high;  // powers of ten
  double from, to;   // pixels
  [[nodiscard]] double at(double value) const {
    const double part = (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low));
    return from + part * (to - from);
  }
};

// The powers of ten around [low, high].
Axis axis(double low, double high, double from, double to) {
  const double first = std::floor(std::log10(low));
  return {std::pow(10, first), std::pow(10, std::max(std::ceil(std::log10(high)), first + 1)), from, to};
}

double gmacs(const Row& row, const std::vector<double>& values) {
  return spread_of(values).median * row.pass.macs / row.pass.tokens * 1e-9;
}

std::string grid(const Axis& x, const Axis& y) {
  std::string out;
  for (double v = x.low; v <= x.high * 1.001; v *= 10) {
    out += fmt::format(R"(<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>)", x.at(v), y.from,
                       y.to);
    out += fmt::format(R"(<text text-anchor="middle" x="{:.1f}" y="{:.1f}">{:g}</text>)", x.at(v), y.from + 18, v);
  }
  for (double v = y.low; v <= y.high * 1.001; v *= 10) {
    out += fmt::format(R"(<line class="grid" x1="{1:.1f}" x2="{2:.1f}" y1="{0:.1f}" y2="{0:.1f}"/>)", y.at(v), x.from,
                       x.to);
    out += fmt::format(R"(<text text-anchor="end" x="{:.1f}" y="{:.1f}">{:g}</text>)", x.from - 8, y.at(v) + 4, v);
  }
  out += fmt::format(R"(<text text-anchor="middle" x="{:.1f}" y="{:.1f}">multiply-adds a byte read</text>)",
                     (x.from + x.to) / 2, y.from + 40);
  out += fmt::format(R"x(<text text-anchor="middle" transform="translate(16 {:.1f}) rotate(-90)">GMAC/s</text>)x",
                     (y.from + y.to) / 2);
  return out;
}

}  // namespace

std::string roofline_svg(const ModelResults& model) {
  double int8 = 0;
  double bytes = 0;
  std::vector<const Row*> rows;
  for (const Row& row : model.rows) {
    if (ceiling_of(row) <= 0) continue;
    rows.push_back(&row);
    int8 = std::max(int8, ceilings_of(row).ceilings.int8_macs_per_s * 1e-9);
    bytes = std::max(bytes, ceilings_of(row).ceilings.bytes_per_s * 1e-9);
  }
  if (rows.empty()) return {};
  double x_low = int8 / bytes;  // the ridge is always in sight
  double x_high = x_low;
  double y_low = int8;
  for (const Row* row : rows) {
    x_low = std::min(x_low, intensity_of(*row));
    x_high = std::max(x_high, intensity_of(*row));
    for (const Column& column : row->columns) {
      if (!column.values.empty()) y_low = std::min(y_low, gmacs(*row, column.values));
    }
  }
  const Axis x = axis(x_low * 0.9, x_high * 1.1, kLeft, kWidth - kRight);
  const Axis y = axis(y_low * 0.9, int8 * 1.1, kHeight - kBottom, kTop);

  std::string out = fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="roofline">)", kWidth, kHeight);
  out += grid(x, y);
  const double ridge = int8 / bytes;
  const double roof_from = std::max(x.low, y.low / bytes);
  out += fmt::format(R"(<polyline class="roof" points="{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}"/>)", x.at(roof_from),
                     y.at(roof_from * bytes), x.at(ridge), y.at(int8), x.at(x.high), y.at(int8));
  out += fmt::format(R"(<text x="{:.1f}" y="{:.1f}">int8 {:.0f} GMAC/s</text>)", x.to + 6, y.at(int8) + 4, int8);
  out += fmt::format(R"(<text text-anchor="end" x="{:.1f}" y="{:.1f}">memory {:.1f} GB/s</text>)", x.at(ridge) - 14,
                     y.at(int8) + 4, bytes);
  for (const Row* row : rows) {
    const double at = x.at(intensity_of(*row));
    const auto point = [&](const Column& column, const char* kind, double label_dx, const char* anchor) {
      const double height = y.at(gmacs(*row, column.values));
      out += fmt::format(R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}: {} {} {}</title></circle>)",
                         kind, at, height, escape_html(column.contender), escape_html(row->name),
                         figures(column.values), row->unit);
      out += fmt::format(R"(<text class="{}" text-anchor="{}" x="{:.1f}" y="{:.1f}">{}</text>)", kind, anchor,
                         at + label_dx, height + 4, escape_html(row->name));
    };
    if (const Column* best = best_peer(*row)) point(*best, "peer", 9, "start");
    if (!row->columns.empty() && !row->columns[0].values.empty()) point(row->columns[0], "ours", -9, "end");
  }
  out += R"(<circle class="ours" cx="90" cy="36" r="5"/><text x="100" y="40">concerto</text>)"
         R"(<circle class="peer" cx="90" cy="56" r="5"/><text x="100" y="60">the best peer</text></svg>)";
  return out;
}

}  // namespace concerto::eval
