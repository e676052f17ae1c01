#include <fmt/format.h>

#include <algorithm>

#include "eval/bench/results.h"

namespace concerto::eval {
namespace {

using Cells = std::vector<std::string>;

std::string probes_of(const Row& row) {
  std::vector<double> macs;
  std::vector<double> bytes;
  for (const Probe& probe : row.probes) {
    macs.push_back(probe.ceilings.int8_macs_per_s * 1e-9);
    bytes.push_back(probe.ceilings.bytes_per_s * 1e-9);
  }
  if (macs.empty()) return {};
  const double int8 = spread_of(macs).high;
  return (int8 > 0 ? fmt::format("{:.0f} GMAC/s, ", int8) : "") + fmt::format("{:.1f} GB/s", spread_of(bytes).high);
}

std::vector<Cells> table_of(const ModelResults& model) {
  std::vector<Cells> table = {
      {"work", "unit", "concerto", "best peer", "its figure", "ratio", "ceiling", "share", "probes"}};
  for (const Row& row : model.rows) {
    const Column* best = best_peer(row);
    const Column* ours = row.columns.empty() ? nullptr : &row.columns[0];
    const double ceiling = ceiling_of(row);
    const bool measured = ours != nullptr && !ours->values.empty();
    table.push_back(
        {row.name, row.unit, measured ? figures(ours->values) : "failed", best != nullptr ? best->contender : "-",
         best != nullptr ? figures(best->values) : "-",
         best != nullptr && !best->ratios.empty() ? figures(best->ratios) : "-", ceiling > 0 ? figure(ceiling) : "-",
         ceiling > 0 && measured ? fmt::format("{:.0f}%", 100 * spread_of(ours->values).median / ceiling) : "-",
         probes_of(row)});
  }
  return table;
}

// Every contender of every row.
std::vector<Cells> details_of(const ModelResults& model) {
  std::vector<Cells> table = {{"work", "unit", "contender", "median (range)", "ours is better by"}};
  for (const Row& row : model.rows) {
    for (const Column& column : row.columns) {
      table.push_back({row.name, row.unit, column.contender, column.values.empty() ? "failed" : figures(column.values),
                       figures(column.ratios)});
    }
  }
  return table;
}

std::string aligned(const std::vector<Cells>& table) {
  std::vector<size_t> widths(table[0].size());
  for (const Cells& cells : table) {
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  std::string out;
  for (const Cells& cells : table) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) line += fmt::format("{:<{}}", cells[i], widths[i] + 2);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string piped(const std::vector<Cells>& table) {
  std::string out;
  for (size_t i = 0; i < table.size(); ++i) {
    for (const std::string& cell : table[i]) out += "| " + cell + " ";
    out += "|\n";
    if (i == 0) {
      for (size_t j = 0; j < table[i].size(); ++j) out += "|---";
      out += "|\n";
    }
  }
  return out;
}

std::string heading(const Results& r) {
  return fmt::format("{} ({} cores, {:.0f} GB), {}; {} threads, {} kernels, {} pair{}, {}", r.processor, r.cores,
                     r.memory_bytes * 1e-9, r.system, r.threads, r.kernels, r.pairs, r.pairs == 1 ? "" : "s", r.date);
}

double highest_load(const Results& r) {
  double load = 0;
  for (const ModelResults& model : r.models) {
    for (const Row& row : model.rows) load = std::max(load, ceilings_of(row).load);
  }
  return load;
}

// Each once: what was left out or failed.
std::vector<std::string> remarks(const Results& r) {
  std::vector<std::string> out = r.missing;
  for (const ModelResults& model : r.models) {
    for (const Row& row : model.rows) {
      for (const Column& column : row.columns) {
        if (row.name == "memory" || column.failure.empty()) continue;
        out.push_back(fmt::format("{}, {}, {}: {}", model.model.name, row.name, column.contender, column.failure));
      }
    }
  }
  // The runs themselves are one process that wants `threads`.
  if (const double load = highest_load(r); load > r.cores + 1) {
    out.push_back(fmt::format("the machine was not quiet: up to {:.1f} processes on {} cores; only ratios compare",
                              load, r.cores));
  }
  return out;
}

}  // namespace

std::string results_text(const Results& r) {
  std::string out = heading(r) + "\n";
  for (const ModelResults& model : r.models) out += "\n" + model.model.name + "\n" + aligned(table_of(model));
  const std::vector<std::string> notes = remarks(r);
  if (!notes.empty()) out += "\n";
  for (const std::string& note : notes) out += note + "\n";
  return out;
}

std::string results_markdown(const Results& r) {
  std::string out = heading(r) + ".\n\n";
  out += fmt::format("Concerto {}; ", r.version);
  for (const PeerBuild& peer : r.peers) out += fmt::format("{}: {}; ", peer.name, peer.version);
  out += fmt::format("`{}`\n", r.command);
  for (const ModelResults& model : r.models) {
    out += fmt::format("\n### {}\n{}\n<details><summary>every contender</summary>\n\n{}\n</details>\n",
                       model.model.name, piped(table_of(model)), piped(details_of(model)));
  }
  const std::vector<std::string> notes = remarks(r);
  if (!notes.empty()) out += "\nLeft out or failed:\n";
  for (const std::string& note : notes) out += "\n```\n" + note + "\n```\n";
  return out;
}

}  // namespace concerto::eval
