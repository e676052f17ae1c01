// Log: one line per event on stderr, "time level message key=value ...". Thread-safe. Never prints prompts or answers.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace concerto::base {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

void set_log_level(LogLevel level);
void log_line(LogLevel level, std::string_view message);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace concerto::base
