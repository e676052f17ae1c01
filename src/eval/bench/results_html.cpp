#include <fmt/format.h>

#include "eval/bench/results.h"
#include "eval/bench/roofline_svg.h"

namespace concerto::eval {
namespace {

constexpr const char* kStyle = R"(
:root{--ink:#1c1c22;--dim:#6a6a76;--line:#d9d9e0;--paper:#fff;--ours:#0b6bcb;--peer:#c2500e;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8ee;--dim:#9a9aa6;--line:#3a3a44;--paper:#16161a;--ours:#5aa9ff;--peer:#ff9a5c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1100px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}
th,td{padding:.25rem .7rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}
td.n{text-align:right;font-variant-numeric:tabular-nums}tr.ours td{font-weight:600}
dt{color:var(--dim)}dd{margin:0 0 .4rem}code,pre{font-size:13px;overflow-wrap:anywhere;white-space:pre-wrap}
svg{width:100%;height:auto;font-size:12px}svg text{fill:var(--ink)}.grid{stroke:var(--line)}
.roof{fill:none;stroke:var(--ink);stroke-width:2}circle.ours{fill:var(--ours)}circle.peer{fill:var(--paper);stroke:var(--peer);stroke-width:2}
svg text.ours{fill:var(--ours)}svg text.peer{fill:var(--peer)}
)";

std::string cell(const std::string& text, bool number) {
  return fmt::format("<td{}>{}</td>", number ? R"( class="n")" : "", escape_html(text));
}

std::string samples(const std::vector<double>& values) {
  std::string out;
  for (const double value : values) out += (out.empty() ? "" : " ") + figure(value);
  return out;
}

std::string head(std::initializer_list<const char*> names) {
  std::string out = "<table><thead><tr>";
  for (const char* name : names) out += fmt::format("<th>{}</th>", name);
  return out + "</tr></thead><tbody>";
}

std::string summary(const ModelResults& model) {
  std::string out = head({"work", "unit", "concerto", "best peer", "its figure", "ratio", "ceiling", "share"});
  for (const Row& row : model.rows) {
    const Column* best = best_peer(row);
    const std::vector<double> ours = row.columns.empty() ? std::vector<double>() : row.columns[0].values;
    const double ceiling = ceiling_of(row);
    out += "<tr>" + cell(row.name, false) + cell(row.unit, false) + cell(ours.empty() ? "failed" : figures(ours), true);
    out += cell(best != nullptr ? best->contender : "-", false) +
           cell(best != nullptr ? figures(best->values) : "-", true);
    out += cell(best != nullptr ? figures(best->ratios) : "-", true);
    out += cell(ceiling > 0 ? figure(ceiling) : "-", true);
    out +=
        cell(ceiling > 0 && !ours.empty() ? fmt::format("{:.1f}%", 100 * spread_of(ours).median / ceiling) : "-", true);
    out += "</tr>";
  }
  return out + "</tbody></table>";
}

std::string details(const ModelResults& model) {
  std::string out = head({"work", "unit", "contender", "median (range)", "samples", "ours is better by", "each pair"});
  for (const Row& row : model.rows) {
    for (size_t i = 0; i < row.columns.size(); ++i) {
      const Column& column = row.columns[i];
      out += (i == 0 ? R"(<tr class="ours">)" : "<tr>") + cell(row.name, false) + cell(row.unit, false) +
             cell(column.contender, false);
      out += cell(column.values.empty() ? "failed" : figures(column.values), true) + cell(samples(column.values), true);
      out += cell(figures(column.ratios), true) + cell(samples(column.ratios), true) + "</tr>";
    }
  }
  out += "</tbody></table><h3>Probes between the runs</h3>";
  out += head({"work", "int8, GMAC/s", "memory read, GB/s", "load"});
  for (const Row& row : model.rows) {
    for (const Probe& probe : row.probes) {
      out += "<tr>" + cell(row.name, false) + cell(figure(probe.ceilings.int8_macs_per_s * 1e-9), true) +
             cell(figure(probe.ceilings.bytes_per_s * 1e-9), true) + cell(figure(probe.load), true) + "</tr>";
    }
  }
  return out + "</tbody></table>";
}

std::string commands(const ModelResults& model) {
  std::string out = "<h3>Commands</h3>";
  for (const Row& row : model.rows) {
    if (row.name == "memory") continue;
    for (const Column& column : row.columns) {
      out += fmt::format("<p>{}, {}<br><code>{}</code></p>", escape_html(row.name), escape_html(column.contender),
                         escape_html(column.command));
      if (!column.failure.empty()) out += fmt::format("<pre>{}</pre>", escape_html(column.failure));
    }
  }
  return out;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string results_html(const Results& r) {
  std::string out = fmt::format(
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Concerto and its peers</title>"
      "<meta name=\"viewport\" content=\"width=device-width\"><style>{}</style><h1>Concerto and its peers</h1><dl>",
      kStyle);
  const auto fact = [&](const char* name, const std::string& value) {
    out += fmt::format("<dt>{}</dt><dd>{}</dd>", name, escape_html(value));
  };
  fact("machine",
       fmt::format("{}, {} cores, {} GB, {}", r.processor, r.cores, figure(r.memory_bytes * 1e-9), r.system));
  fact("date", r.date);
  fact("concerto", fmt::format("{}, {} kernels", r.version, r.kernels));
  for (const PeerBuild& peer : r.peers) fact(peer.name.c_str(), peer.version);
  for (const std::string& missing : r.missing) fact("left out", missing);
  fact("how",
       fmt::format("{} pair{}, {} threads each, new processes in turn", r.pairs, r.pairs == 1 ? "" : "s", r.threads));
  fact("command", r.command);
  out +=
      "</dl><p>The ratio is the median of the pairs' ratios against the best peer; above 1 ours is better. The ceiling "
      "is "
      "the roofline of the row's own probes. Attention's products are not in it: long contexts stay lower.</p>";
  for (const ModelResults& model : r.models) {
    out += fmt::format("<h2>{}</h2>", escape_html(model.model.name)) + roofline_svg(model) + summary(model) +
           "<details><summary>Every run</summary>" + details(model) + commands(model) + "</details>";
  }
  return out + "</html>\n";
}

}  // namespace concerto::eval
