#include "eval/bench/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/clock.h"

extern char** environ;

namespace concerto::eval {
namespace {

using base::Code;
using base::fail;

constexpr size_t kMaxOut = 1 << 20;
constexpr size_t kMaxErr = 64 << 10;
constexpr int64_t kEndSeconds = 10;  // for a server that was asked to end

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_read();
    close_write();
  }
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
  void close_read() {
    if (read >= 0) ::close(read);
    read = -1;
  }
  void close_write() {
    if (write >= 0) ::close(write);
    write = -1;
  }
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

struct Actions {
  posix_spawn_file_actions_t value{};
  Actions() { posix_spawn_file_actions_init(&value); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  ~Actions() { posix_spawn_file_actions_destroy(&value); }
};

// Reads both pipes until the child closed them. false: the deadline passed first.
bool drain(Pipe& out, Pipe& err, ChildRun& run, int64_t deadline_ns, pid_t pid, const base::CancelToken* stop) {
  bool asked = false;
  std::array<char, 1 << 14> chunk{};
  while (out.read >= 0 || err.read >= 0) {
    const int64_t left_ms = (deadline_ns - base::system_clock().now_ns()) / 1'000'000;
    if (left_ms <= 0) return false;
    if (stop != nullptr && stop->cancelled() && !asked) {
      asked = true;
      deadline_ns = std::min(deadline_ns, base::system_clock().now_ns() + kEndSeconds * 1'000'000'000);
      ::kill(pid, SIGTERM);
    }
    pollfd polled[] = {{out.read, POLLIN, 0}, {err.read, POLLIN, 0}};
    const int64_t wait_ms = stop == nullptr ? 1000 : 20;
    const int ready = ::poll(polled, 2, static_cast<int>(std::min(left_ms, wait_ms)));
    if (ready < 0 && errno != EINTR) return false;
    for (int i = 0; i < 2 && ready > 0; ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      const ssize_t got = ::read(polled[i].fd, chunk.data(), chunk.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        (i == 0 ? out : err).close_read();
      } else if (i == 0) {
        run.out.append(chunk.data(), std::min(static_cast<size_t>(got), kMaxOut - std::min(kMaxOut, run.out.size())));
      } else {
        run.err.append(chunk.data(), static_cast<size_t>(got));
        if (run.err.size() > 2 * kMaxErr) run.err.erase(0, run.err.size() - kMaxErr);
      }
    }
  }
  return true;
}

}  // namespace

base::Result<ChildRun> run_child(const std::vector<std::string>& argv, const std::string& folder,
                                 const std::vector<std::string>& environment, double seconds_allowed,
                                 const base::CancelToken* stop) {
  Pipe out;
  Pipe err;
  if (argv.empty() || !out.open() || !err.open()) {
    return fail(Code::kIo, fmt::format("can't start a program: {}", std::strerror(errno)));
  }
  Actions actions;
  posix_spawn_file_actions_addopen(&actions.value, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions.value, out.write, 1);
  posix_spawn_file_actions_adddup2(&actions.value, err.write, 2);
  if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions.value, folder.c_str());
  std::vector<std::string> variables = environment;
  for (char** v = environ; *v != nullptr; ++v) variables.emplace_back(*v);

  const int64_t start = base::system_clock().now_ns();
  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, argv[0].c_str(), &actions.value, nullptr, pointers(argv).data(), pointers(variables).data());
  if (error != 0) return fail(Code::kIo, fmt::format("{}: can't be started: {}", argv[0], std::strerror(error)));
  out.close_write();
  err.close_write();
  ChildRun run;
  const bool ended = drain(out, err, run, start + static_cast<int64_t>(seconds_allowed * 1e9), pid, stop);
  if (!ended) ::kill(pid, SIGKILL);
  int status = 0;
  rusage usage{};
  while (::wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  run.seconds = static_cast<double>(base::system_clock().now_ns() - start) / 1e9;
  run.peak_resident_bytes = static_cast<double>(usage.ru_maxrss) * 1024;
  run.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (!ended && (stop == nullptr || !stop->cancelled())) {
    return fail(Code::kTimeout,
                fmt::format("{}: killed after {:.0f} s\n{}", argv[0], seconds_allowed, last_lines(run.err, 3)));
  }
  return run;
}

std::string last_lines(const std::string& text, int count) {
  std::vector<std::string> lines;
  size_t end = text.size();
  while (end > 0 && static_cast<int>(lines.size()) < count) {
    const size_t newline = text.rfind('\n', end - 1);
    const size_t begin = newline == std::string::npos ? 0 : newline + 1;
    const std::string line = text.substr(begin, std::min<size_t>(end - begin, 200));
    if (line.find_first_not_of(" \t\r\n") != std::string::npos) lines.push_back(line.substr(0, line.find('\n')));
    end = newline == std::string::npos ? 0 : newline;
  }
  std::string out;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) out += (out.empty() ? "" : "\n") + *line;
  return out;
}

std::string telling_lines(const std::string& text, int count) {
  std::string found;
  int lines = 0;
  for (size_t begin = 0; begin < text.size() && lines < count;) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, std::min<size_t>(end - begin, 200));
    for (const char* sign : {"ASSERT", "rror:", "failed"}) {
      // Programs that print to two streams say it twice.
      if (line.find(sign) == std::string::npos || found.find(line) != std::string::npos) continue;
      found += (found.empty() ? "" : "\n") + line;
      ++lines;
      break;
    }
    begin = end + 1;
  }
  return found.empty() ? last_lines(text, count) : found;
}

std::string shell_words(const std::vector<std::string>& argv) {
  std::string out;
  for (const std::string& word : argv) {
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || std::strchr("-_./,=:+~", c) != nullptr;
    });
    std::string quoted;
    for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += (out.empty() ? "" : " ") + (plain ? word : "'" + quoted + "'");
  }
  return out;
}

}  // namespace concerto::eval
