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

}  // namespace concerto::eval
