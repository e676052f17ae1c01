#include "app/peers.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "app/model_path.h"
#include "app/terminal.h"
#include "app/verb.h"
#include "eval/bench/comparison.h"

namespace concerto::app {
namespace {

namespace fs = std::filesystem;

bool write_file(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.flush();
  if (out.good()) return true;
  print_error(fmt::format("{}: can't be written", path.string()));
  return false;
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
  const auto results = eval::compare_with_peers(options);
  if (colours_on_stderr()) fmt::print(stderr, "\r\x1b[K");
  if (!results) {
    print_error(results.error());
    return kFailure;
  }
  bool good = !eval::ours_failed(*results);
  if (a.out) {
    good &= write_file(fs::path(*a.out) / "results.json", eval::results_json(*results));
    good &= write_file(fs::path(*a.out) / "report.html", eval::results_html(*results));
  }
  good &= write_out(json         ? eval::results_json(*results)
                    : a.markdown ? eval::results_markdown(*results)
                                 : eval::results_text(*results));
  return good ? kOk : kFailure;
}

}  // namespace concerto::app
