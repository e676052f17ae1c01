#include "eval/bench/comparison.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "eval/bench/child.h"
#include "eval/bench/contender.h"
#include "eval/bench/served.h"
#include "kernels/kernels.h"

namespace concerto::eval {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::fail;

// A failing peer would call a debugger for its stack trace: minutes, and lines that hide the message.
const std::vector<std::string> kQuiet = {"GGML_NO_BACKTRACE=1", "LLAMA_NO_BACKTRACE=1"};
constexpr int kLinesOfFailure = 4;

// The peers leave log files where they run.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "concerto-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// In a process of its own: what this one has held would count as the peak memory of its children.
base::Result<Probe> probe(const std::string& program, int threads) {
  TRY(const ChildRun run,
      run_child({program, "bench", "--ceilings", "--json", "-t", std::to_string(threads)}, "", {}, 60));
  TRY(Probe probe, read_ceilings(run.out));
  double load[1] = {0};
  if (::getloadavg(load, 1) == 1) probe.load = load[0];
  return probe;
}

// Every contender finds the file in memory.
void read_through(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<char> chunk(1 << 20);
  while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()))) {
  }
}

// Records are shown around: the home folder is nobody's business.
std::string without_home(std::string text) {
  const char* home = std::getenv("HOME");
  const std::string prefix = home == nullptr ? "" : std::string(home) + "/";
  if (prefix.size() < 3) return text;
  for (size_t at = 0; (at = text.find(prefix, at)) != std::string::npos; at += 2) {
    text.replace(at, prefix.size(), "~/");
  }
  return text;
}

struct Measurement {
  double value = 0;  // in the unit of the shape's row
  double side = 0;   // in the unit of its side_figure()
};

base::Result<Measurement> measure(const Contender& contender, const Shape& shape, const std::vector<std::string>& argv,
                                  const std::string& folder, double seconds_allowed) {
  TRY(const ChildRun run, run_child(argv, folder, kQuiet, seconds_allowed));
  if (run.exit_code != 0) {
    return fail(Code::kUpstream, fmt::format("exit code {}\n{}", run.exit_code,
                                             telling_lines(run.err.empty() ? run.out : run.err, kLinesOfFailure)));
  }
  if (shape.work == Work::kStart) return Measurement{run.seconds, run.peak_resident_bytes * 1e-6};
  const auto rate = read_rate(contender, shape, run.out, run.err);
  if (!rate) return fail(rate.error().code, rate.error().message + "\n" + telling_lines(run.err, kLinesOfFailure));
  return Measurement{*rate, 0};
}

// When a program was written: what a version number does not tell.
std::string written_of(const std::string& program) {
  std::error_code error;
  const auto written = std::chrono::time_point_cast<std::chrono::seconds>(
      std::chrono::file_clock::to_sys(fs::last_write_time(program, error)));
  return error ? "" : fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(written.time_since_epoch().count()));
}

PeerBuild build_of(const Contender& peer, const std::string& folder) {
  PeerBuild build{peer.name.substr(0, peer.name.find(' ')), ""};
  const std::string program = peer.program + "/llama-bench";
  if (const auto run = run_child({program, "--version"}, folder, kQuiet, 30); run && run->exit_code == 0) {
    const std::string text = run->out + run->err;
    if (const size_t at = text.find("version:"); at != std::string::npos) {
      build.version = text.substr(at + 9, std::min<size_t>(text.find('\n', at) - at - 9, 100)) + ", ";
    }
  }
  if (const std::string written = written_of(program); !written.empty()) {
    build.version += "program of " + written.substr(0, 10);
  }
  return build;
}

// One run of the whole plan.
class Runner {
 public:
  Runner(const ComparisonOptions& options, int threads)
      : options_(options), threads_(threads), start_ns_(base::system_clock().now_ns()) {}

  void find_peers(Results& results) {
    for (Contender& peer : peers_below(options_.peers)) {
      const std::string name = peer.name.substr(0, peer.name.find(' '));
      const std::string program = peer.program + "/llama-bench";
      const bool seen = std::any_of(results.peers.begin(), results.peers.end(),
                                    [&](const PeerBuild& build) { return build.name == name; });
      if (::access(program.c_str(), X_OK) == 0) {
        if (!seen) results.peers.push_back(build_of(peer, scratch_.path()));
        peers_.push_back(std::move(peer));
      } else if (const std::string why = fmt::format("{}: left out: {} is not there", name, program);
                 std::find(results.missing.begin(), results.missing.end(), without_home(why)) ==
                 results.missing.end()) {
        results.missing.push_back(without_home(why));
      }
    }
    for (const Shape& shape : options_.shapes) {
      effort_left_ += effort(shape) * options_.pairs * runs_a_pair() * static_cast<double>(options_.models.size());
    }
  }

  // Into the last of results.models.
  void run_model(const std::string& path, Results& results) {
    bool read = false;
    for (const Shape& shape : options_.shapes) {
      if (take_over(shape, results.models.back())) continue;
      if (!std::exchange(read, true)) read_through(path);
      run_shape(path, shape, results.models.back());
      if (options_.finished_shape) options_.finished_shape(results);
    }
  }

 private:
  // Per contender of the row: how it fares.
  struct Lane {
    const Contender* contender;
    Column column;
    std::vector<double> side, side_ratios;
    bool rescue = false;
    bool out = false;
  };

  [[nodiscard]] double runs_a_pair() const { return peers_.empty() ? 1 : 2 * static_cast<double>(peers_.size()); }

  void run_shape(const std::string& path, const Shape& shape, ModelResults& out) {
    const Contender ours = ourselves(options_.program);
    std::vector<Lane> lanes = {lane(ours)};
    for (const Contender& peer : peers_) lanes.push_back(lane(peer));
    Row row;
    row.name = shape_name(shape);
    row.unit = in_seconds(shape.work) ? "s" : "tokens/s";
    row.lower_is_better = in_seconds(shape.work);
    row.pass = pass_of(out.model, shape);
    for (int pair = 0; pair < options_.pairs; ++pair) {
      if (auto probed = probe(options_.program, threads_)) row.probes.push_back(*probed);
      const std::string where =
          fmt::format("{}, {}, pair {} of {}", out.model.name, row.name, pair + 1, options_.pairs);
      if (peers_.empty() && !run_lane(lanes[0], shape, path, where)) break;
      for (size_t i = 1; i < lanes.size(); ++i) run_pair(lanes[0], lanes[i], shape, path, where, pair % 2 == 1);
    }
    Row side;
    side.name = side_figure(shape).name;
    side.unit = side_figure(shape).unit;
    side.lower_is_better = side_figure(shape).lower_is_better;
    for (Lane& one : lanes) {
      side.columns.push_back({one.column.contender, one.column.command, one.side, one.side_ratios, ""});
      row.columns.push_back(std::move(one.column));
    }
    out.rows.push_back(std::move(row));
    if (!side.name.empty()) out.rows.push_back(std::move(side));
  }

  // The rows of a shape that an earlier run of the same comparison finished.
  bool take_over(const Shape& shape, ModelResults& out) {
    if (options_.earlier == nullptr) return false;
    for (const ModelResults& model : options_.earlier->models) {
      if (model.model.name != out.model.name || model.model.file_bytes != out.model.file_bytes) continue;
      const auto named = [&](const std::string& name) {
        return std::ranges::find_if(model.rows, [&](const Row& row) { return row.name == name; });
      };
      const auto row = named(shape_name(shape));
      if (row == model.rows.end() || row->columns.empty()) return false;
      if (std::ssize(row->columns[0].values) < options_.pairs) return false;
      out.rows.push_back(*row);
      if (const auto side = named(side_figure(shape).name); side != model.rows.end()) out.rows.push_back(*side);
      effort_left_ -= effort(shape) * options_.pairs * runs_a_pair();
      return true;
    }
    return false;
  }

  static Lane lane(const Contender& contender) { return {&contender, {contender.name, "", {}, {}, ""}, {}, {}}; }

  void run_pair(Lane& ours, Lane& peer, const Shape& shape, const std::string& path, const std::string& where,
                bool peer_first) {
    if (peer.out) {
      effort_left_ -= 2 * effort(shape);
      return;
    }
    base::Result<Measurement> theirs = fail(Code::kInternal, "");
    if (peer_first) theirs = run_lane(peer, shape, path, where);
    const auto mine = run_lane(ours, shape, path, where);
    if (!peer_first) theirs = run_lane(peer, shape, path, where);
    if (!mine || !theirs) return;
    const auto better = [](bool lower, double ours_is, double theirs_is) {
      return lower ? theirs_is / ours_is : ours_is / theirs_is;
    };
    peer.column.ratios.push_back(better(in_seconds(shape.work), mine->value, theirs->value));
    if (mine->side > 0) {
      peer.side_ratios.push_back(better(side_figure(shape).lower_is_better, mine->side, theirs->side));
    }
  }

  base::Result<Measurement> run_lane(Lane& lane, const Shape& shape, const std::string& path,
                                     const std::string& where) {
    report(where + ", " + lane.contender->name);
    auto result = attempt(lane, shape, path);
    if (!result && !lane.rescue && shape.work == Work::kStreams && !lane.contender->batched_rescue.empty()) {
      lane.column.failure =
          without_home(result.error().message) + "\nso: " + shell_words(lane.contender->batched_rescue);
      lane.rescue = true;
      result = attempt(lane, shape, path);
    }
    effort_left_ -= effort(shape);
    if (!result) {
      lane.column.failure = without_home(result.error().message);
      lane.out = lane.contender->kind != ContenderKind::kConcerto;
      return result;
    }
    lane.column.values.push_back(result->value);
    if (result->side > 0) lane.side.push_back(result->side);
    return result;
  }

  base::Result<Measurement> attempt(Lane& lane, const Shape& shape, const std::string& path) {
    if (is_served(shape.work)) {
      const auto figures = measure_served(*lane.contender, shape, path, threads_, scratch_.path(),
                                          options_.child_seconds, &lane.column.command);
      lane.column.command = without_home(std::move(lane.column.command));
      if (!figures) return tl::make_unexpected(figures.error());
      return Measurement{figures->seconds, figures->side};
    }
    const auto argv = command_of(*lane.contender, shape, path, threads_, lane.rescue);
    lane.column.command = without_home(shell_words(argv));
    return measure(*lane.contender, shape, argv, scratch_.path(), options_.child_seconds);
  }

  void report(const std::string& what) {
    if (effort_total_ == 0) effort_total_ = effort_left_;
    if (!options_.progress) return;
    const double done = effort_total_ - effort_left_;
    const double seconds = static_cast<double>(base::system_clock().now_ns() - start_ns_) / 1e9;
    options_.progress({what, done / effort_total_, done > 0 ? seconds / done * effort_left_ : 0});
  }

  const ComparisonOptions& options_;
  int threads_;
  int64_t start_ns_;
  ScratchFolder scratch_;
  std::vector<Contender> peers_;
  double effort_left_ = 0;
  double effort_total_ = 0;
};

void describe_machine(Results& results) {
  results.processor = base::cpu_name();
  results.cores = base::available_cores();
  results.kernels = kernels::best_table().name;
  results.memory_bytes = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  utsname system{};
  if (::uname(&system) == 0) results.system = fmt::format("{} {}", system.sysname, system.release);
  results.date = fmt::format("{:%Y-%m-%dT%H:%MZ}", fmt::gmtime(base::system_clock().wall_ms() / 1000));
}

}  // namespace

base::Result<Results> compare_with_peers(const ComparisonOptions& options) {
  std::vector<std::string> paths;
  std::vector<ModelCost> costs;
  for (const std::string& model : options.models) {
    std::error_code error;
    paths.push_back(fs::absolute(model, error).string());
    TRY(ModelCost cost, cost_of(paths.back()));
    costs.push_back(std::move(cost));
  }
  Results results;
  describe_machine(results);
  results.version = options.version;
  results.command = without_home(options.command);
  results.pairs = options.pairs;
  results.threads = options.threads > 0 ? options.threads : results.cores;
  results.program = written_of(options.program);
  ComparisonOptions absolute = options;
  std::error_code error;
  absolute.peers = fs::absolute(options.peers, error).string();
  absolute.program = fs::absolute(options.program, error).string();
  Runner runner(absolute, results.threads);
  runner.find_peers(results);
  for (size_t i = 0; i < paths.size(); ++i) {
    results.models.push_back({std::move(costs[i]), {}});
    runner.run_model(paths[i], results);
  }
  results.complete = true;
  return results;
}

bool continues(const Results& earlier, const ComparisonOptions& options) {
  Results now;
  describe_machine(now);
  const std::string program = written_of(options.program);
  return !earlier.complete && !program.empty() && earlier.program == program && earlier.processor == now.processor &&
         earlier.system == now.system && earlier.cores == now.cores && earlier.pairs == options.pairs &&
         earlier.threads == (options.threads > 0 ? options.threads : now.cores);
}

bool ours_failed(const Results& results) {
  for (const ModelResults& model : results.models) {
    for (const Row& row : model.rows) {
      if (row.columns.empty() || row.columns[0].values.empty()) return true;
    }
  }
  return false;
}

}  // namespace concerto::eval
