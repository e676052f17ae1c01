#include "app/paths.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace concerto::app {
namespace {

std::string home_folder() {
  if (std::string home = environment("HOME"); !home.empty()) return home;
  const passwd* user = ::getpwuid(::getuid());  // before any thread starts
  return user != nullptr && user->pw_dir != nullptr ? user->pw_dir : "/";
}

// The XDG rules ignore a relative value.
std::string xdg(const char* variable, const char* fallback) {
  std::string folder = environment(variable);
  if (folder.empty() || folder.front() != '/') folder = home_folder() + fallback;
  return folder + "/concerto";
}

}  // namespace

std::string config_folder() { return xdg("XDG_CONFIG_HOME", "/.config"); }
std::string data_folder() { return xdg("XDG_DATA_HOME", "/.local/share"); }

std::string models_folder() {
  if (std::string folder = environment("CONCERTO_MODELS"); !folder.empty()) return resolve_path(folder, ".");
  return xdg("XDG_CACHE_HOME", "/.cache") + "/models";
}

std::string resolve_path(std::string_view path, std::string_view base) {
  if (path == "~") return home_folder();
  if (path.starts_with("~/")) return home_folder() + std::string(path.substr(1));
  const std::filesystem::path given(path);
  return (given.is_absolute() ? given : std::filesystem::path(base) / given).lexically_normal().string();
}

std::string shorten_path(std::string_view path) {
  const std::string home = home_folder();
  if (home.size() > 1 && path.starts_with(home) && path.substr(home.size()).starts_with('/')) {
    return "~" + std::string(path.substr(home.size()));
  }
  return std::string(path);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace concerto::app
