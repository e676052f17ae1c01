// Results of a comparison with the peers, and the figures that follow from them. Plain values; the reports render them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/bench/model_cost.h"
#include "eval/bench/probes.h"
#include "eval/bench/shape.h"

namespace concerto::eval {

struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};
// All zero for no values. The median of an even number is the mean of the middle two.
Spread spread_of(std::vector<double> values);

// The machine at one moment.
struct Probe {
  Ceilings ceilings;
  double load = 0;  // processes that wanted to run, over the last minute
};

// One contender's figures in a row.
struct Column {
  std::string contender;
  std::string command;
  std::vector<double> values;
  // How many times better ours was, each against the run of ours next to it. Empty for ours.
  std::vector<double> ratios;
  std::string failure;  // why it has no values, or what its first command met; empty: nothing
};

// One figure of one model: columns[0] is ours.
struct Row {
  std::string name;  // the shape's, or "memory"
  std::string unit;  // "tokens/s", "s", "MB"
  bool lower_is_better = false;
  PassCost pass;  // tokens 0: it has no roofline
  std::vector<Column> columns;
  std::vector<Probe> probes;
};

struct ModelResults {
  ModelCost model;
  std::vector<Row> rows;
};

struct PeerBuild {
  std::string name;     // "llama.cpp"
  std::string version;  // what it says of itself, with the date of its program
};

struct Results {
  std::string version;    // of Concerto
  std::string program;    // when its executable was written
  bool complete = false;  // else the run was interrupted, or goes on
  std::string date;       // ISO 8601, UTC
  std::string command;
  std::string processor;
  std::string system;   // kernel and its release
  std::string kernels;  // the table that ours picks
  int cores = 0;        // that this process may use
  int threads = 0;
  int pairs = 0;
  double memory_bytes = 0;
  std::vector<PeerBuild> peers;
  std::vector<std::string> missing;  // peers that were left out, and why
  std::vector<ModelResults> models;
};

// The peer with the best median; nullptr when no peer has values.
const Column* best_peer(const Row& row);
// Of the row's probes, the best.
Probe ceilings_of(const Row& row);
// In the row's unit; 0 when there is none.
double ceiling_of(const Row& row);
// The arithmetic intensity of the row, MACs a byte; 0 when it has none.
double intensity_of(const Row& row);

// Figures as people read them: three or four digits that count.
std::string figure(double value);
// "1.46 (1.40-1.52)"; only the median when there is one value; "" for none.
std::string figures(const std::vector<double>& values);

// The same results four ways. All pure.
std::string results_json(const Results& results);
// The way back, as far as an interrupted run needs it. kCorrupt: it is no such text.
base::Result<Results> read_results(std::string_view json);
std::string results_text(const Results& results);      // for a terminal
std::string results_markdown(const Results& results);  // for a page of docs/
std::string results_html(const Results& results);      // self-contained, with a roofline plot a model

}  // namespace concerto::eval
