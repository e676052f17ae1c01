#include <nlohmann/json.hpp>

#include "eval/bench/results.h"

namespace concerto::eval {
namespace {

using json = nlohmann::ordered_json;

json to_json(const std::vector<double>& values) {
  const Spread spread = spread_of(values);
  return {{"median", spread.median}, {"min", spread.low}, {"max", spread.high}, {"samples", values}};
}

json to_json(const Row& row) {
  json columns = json::array();
  for (const Column& column : row.columns) {
    json c = {{"name", column.contender}, {"command", column.command}};
    if (!column.values.empty()) c["value"] = to_json(column.values);
    if (!column.ratios.empty()) c["ours_is_better_by"] = to_json(column.ratios);
    if (!column.failure.empty()) c["failure"] = column.failure;
    columns.push_back(std::move(c));
  }
  json probes = json::array();
  for (const Probe& probe : row.probes) {
    probes.push_back({{"int8_macs_per_s", probe.ceilings.int8_macs_per_s},
                      {"bytes_per_s", probe.ceilings.bytes_per_s},
                      {"load", probe.load}});
  }
  json out = {{"name", row.name},
              {"unit", row.unit},
              {"lower_is_better", row.lower_is_better},
              {"contenders", std::move(columns)}};
  if (const Column* best = best_peer(row)) {
    out["best_peer"] = best->contender;
    out["ratio"] = to_json(best->ratios);
  }
  if (const double ceiling = ceiling_of(row); ceiling > 0) {
    out["ceiling"] = ceiling;
    if (!row.columns.empty()) out["share_of_ceiling"] = spread_of(row.columns[0].values).median / ceiling;
    out["macs_per_byte"] = intensity_of(row);
  }
  if (row.pass.tokens > 0) {
    out["pass"] = {{"tokens", row.pass.tokens}, {"macs", row.pass.macs}, {"bytes", row.pass.bytes}};
  }
  out["probes"] = std::move(probes);
  return out;
}

}  // namespace

std::string results_json(const Results& r) {
  json models = json::array();
  for (const ModelResults& model : r.models) {
    json rows = json::array();
    for (const Row& row : model.rows) rows.push_back(to_json(row));
    models.push_back({{"name", model.model.name}, {"file_bytes", model.model.file_bytes}, {"rows", std::move(rows)}});
  }
  json peers = json::array();
  for (const PeerBuild& peer : r.peers) peers.push_back({{"name", peer.name}, {"version", peer.version}});
  const json out = {{"concerto", r.version},
                    {"program", r.program},
                    {"complete", r.complete},
                    {"date", r.date},
                    {"command", r.command},
                    {"machine",
                     {{"processor", r.processor},
                      {"system", r.system},
                      {"cores", r.cores},
                      {"memory_bytes", r.memory_bytes},
                      {"kernels", r.kernels}}},
                    {"threads", r.threads},
                    {"pairs", r.pairs},
                    {"peers", std::move(peers)},
                    {"left_out", r.missing},
                    {"models", std::move(models)}};
  // Programs print what they like: bytes that are not UTF-8 become U+FFFD.
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

namespace {

// Reads what results_json wrote; a field that is not there or of another type leaves its target as it was.
template <class T>
void read(const json& object, const char* name, T* out) {
  const auto found = object.find(name);
  if (found == object.end()) return;
  if constexpr (std::is_same_v<T, std::string>) {
    if (found->is_string()) *out = found->get<std::string>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (found->is_boolean()) *out = found->get<bool>();
  } else {
    if (found->is_number()) *out = found->get<T>();
  }
}

const json& part(const json& object, const char* name) {
  static const json kNone = json::object();
  const auto found = object.find(name);
  return found == object.end() || !(found->is_object() || found->is_array()) ? kNone : *found;
}

std::vector<double> samples(const json& object, const char* name) {
  std::vector<double> out;
  for (const json& one : part(part(object, name), "samples")) {
    if (one.is_number()) out.push_back(one.get<double>());
  }
  return out;
}

Row read_row(const json& from) {
  Row row;
  read(from, "name", &row.name);
  read(from, "unit", &row.unit);
  read(from, "lower_is_better", &row.lower_is_better);
  const json& pass = part(from, "pass");
  read(pass, "tokens", &row.pass.tokens);
  read(pass, "macs", &row.pass.macs);
  read(pass, "bytes", &row.pass.bytes);
  for (const json& one : part(from, "contenders")) {
    Column column;
    read(one, "name", &column.contender);
    read(one, "command", &column.command);
    read(one, "failure", &column.failure);
    column.values = samples(one, "value");
    column.ratios = samples(one, "ours_is_better_by");
    row.columns.push_back(std::move(column));
  }
  for (const json& one : part(from, "probes")) {
    Probe probe;
    read(one, "int8_macs_per_s", &probe.ceilings.int8_macs_per_s);
    read(one, "bytes_per_s", &probe.ceilings.bytes_per_s);
    read(one, "load", &probe.load);
    row.probes.push_back(probe);
  }
  return row;
}

}  // namespace

base::Result<Results> read_results(std::string_view text) {
  const json from = json::parse(text, nullptr, false);
  if (!from.is_object() || !from.contains("models") || !from["models"].is_array()) {
    return base::fail(base::Code::kCorrupt, "expected the results of a comparison as JSON, found something else");
  }
  Results r;
  read(from, "concerto", &r.version);
  read(from, "program", &r.program);
  read(from, "complete", &r.complete);
  read(from, "threads", &r.threads);
  read(from, "pairs", &r.pairs);
  const json& machine = part(from, "machine");
  read(machine, "processor", &r.processor);
  read(machine, "system", &r.system);
  read(machine, "cores", &r.cores);
  for (const json& one : from["models"]) {
    ModelResults model;
    read(one, "name", &model.model.name);
    read(one, "file_bytes", &model.model.file_bytes);
    for (const json& row : part(one, "rows")) model.rows.push_back(read_row(row));
    r.models.push_back(std::move(model));
  }
  return r;
}

}  // namespace concerto::eval
