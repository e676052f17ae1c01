#include "app/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace concerto::app {
namespace {

bool wants_colours(int file) {
  const char* no = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return ::isatty(file) == 1 && (no == nullptr || *no == '\0') && (term == nullptr || std::string_view(term) != "dumb");
}

}  // namespace

bool colours_on_stdout() { return wants_colours(STDOUT_FILENO); }
bool colours_on_stderr() { return wants_colours(STDERR_FILENO); }
bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

void print_error(std::string_view message) {
  fmt::print(stderr, "concerto: {}error:{} {}\n", colours_on_stderr() ? "\x1b[1;31m" : "",
             colours_on_stderr() ? "\x1b[0m" : "", message);
}

void print_error(const base::Error& error) { print_error(error.message); }

void print_note(std::string_view message) { fmt::print(stderr, "concerto: {}\n", message); }

bool write_out(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

std::string format_bytes(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:.2f} GB", bytes / 1e9);
  if (bytes >= 1e6) return fmt::format("{:.1f} MB", bytes / 1e6);
  if (bytes >= 1e3) return fmt::format("{:.1f} kB", bytes / 1e3);
  return fmt::format("{:.0f} bytes", bytes);
}

}  // namespace concerto::app
