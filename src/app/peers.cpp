#include "app/peers.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/model_path.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "eval/bench/comparison.h"

namespace concerto::app {
namespace {

namespace fs = std::filesystem;

// Whole or not at all: an interrupted run is gone on with from these files.
bool write_file(const fs::path& path, const std::string& text) {
  const fs::path unfinished = path.string() + ".part";
  {
    std::ofstream out(unfinished, std::ios::binary);
    out << text;
    out.flush();
    std::error_code error;
    if (out.good()) fs::rename(unfinished, path, error);
    if (out.good() && !error) return true;
  }
  print_error(fmt::format("{}: can't be written", path.string()));
  return false;
}

bool write_reports(const fs::path& folder, const eval::Results& results) {
  const bool good = write_file(folder / "results.json", eval::results_json(results));
  return write_file(folder / "report.html", eval::results_html(results)) && good;
}

// What an interrupted run of the same comparison left behind.
std::optional<eval::Results> read_earlier(const fs::path& path, const eval::ComparisonOptions& options) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto results = eval::read_results(text);
  if (!results || !eval::continues(*results, options)) {
    print_note(fmt::format("{}: of another comparison: it begins anew", path.string()));
    return std::nullopt;
  }
  print_note(fmt::format("{}: finished shapes are taken over", path.string()));
  return *std::move(results);
}

std::string duration(double seconds) {
  return seconds < 90 ? fmt::format("{:.0f} s", seconds) : fmt::format("{:.0f} min", seconds / 60);
}

void show(const eval::Progress& progress) {
  const std::string left = progress.seconds_left > 0 ? ", about " + duration(progress.seconds_left) + " left" : "";
  const std::string line = fmt::format("{:3.0f}%  {}{}", 100 * progress.fraction, progress.what, left);
  // A log gets a line a run, a terminal one line in all.
  fmt::print(stderr, "{}", colours_on_stderr() ? "\r" + line + "\x1b[K" : line + "\n");
}

}  // namespace

int bench_with_peers(const PeersArguments& a, const std::vector<std::string>& models, int threads, bool json) {
  const auto shapes = eval::parse_shapes(a.full ? "full" : a.shapes);
  if (!shapes) {
    print_error("bench: " + shapes.error().message);
    return kUsage;
  }
  eval::ComparisonOptions options;
  std::string names;
  for (const std::string& model : models) {
    const auto path = find_model(model);
    if (!path) {
      print_error(path.error());
      return kFailure;
    }
    options.models.push_back(*path);
    names += model + " ";
  }
  std::error_code error;
  options.program = fs::read_symlink("/proc/self/exe", error).string();
  if (error) {
    print_error(fmt::format("bench: can't find this program's own file: {}", error.message()));
    return kFailure;
  }
  if (a.out && !fs::is_directory(*a.out) && !fs::create_directories(*a.out, error)) {
    print_error(fmt::format("{}: can't be created: {}", *a.out, error.message()));
    return kFailure;
  }
  options.peers = *a.folder;
  options.shapes = *shapes;
  options.pairs = a.pairs;
  options.threads = threads;
  options.version = CONCERTO_VERSION;
  options.command = fmt::format("concerto bench {}--vs-peers {} --shapes {} --pairs {}", names, *a.folder,
                                a.full ? "full" : a.shapes, a.pairs);
  options.progress = show;
  std::optional<eval::Results> earlier;
  bool good = true;
  if (a.out) {
    const fs::path folder = *a.out;
    earlier = read_earlier(folder / "results.json", options);
    if (earlier) options.earlier = &*earlier;
    options.finished_shape = [&good, folder](const eval::Results& so_far) { good &= write_reports(folder, so_far); };
  }
  const auto results = eval::compare_with_peers(options);
  if (colours_on_stderr()) fmt::print(stderr, "\r\x1b[K");
  if (!results) {
    print_error(results.error());
    return kFailure;
  }
  good &= !eval::ours_failed(*results);
  if (a.out) good &= write_reports(*a.out, *results);
  good &= write_out(json         ? eval::results_json(*results)
                    : a.markdown ? eval::results_markdown(*results)
                                 : eval::results_text(*results));
  return good ? kOk : kFailure;
}

}  // namespace concerto::app
