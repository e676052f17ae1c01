#include "fetch/settings.h"

#include <cstdlib>
#include <sstream>

#include "fetch/partial_file.h"

namespace concerto::fetch {
namespace {

constexpr const char* kDefaultIndex = "https://pypi.org/simple";
constexpr const char* kDefaultHub = "https://huggingface.co";

std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

// In the order in which pip reads them: a later one decides. (pip's "Configuration" page.)
std::vector<std::string> pip_files(const Environment& environment) {
  if (environment("PIP_CONFIG_FILE") == "/dev/null") return {};
  std::vector<std::string> files = {"/etc/xdg/pip/pip.conf", "/etc/pip.conf"};
  const std::string home = environment("HOME");
  if (!home.empty()) files.push_back(home + "/.pip/pip.conf");
  if (const std::string xdg = environment("XDG_CONFIG_HOME"); !xdg.empty()) {
    files.push_back(xdg + "/pip/pip.conf");
  } else if (!home.empty()) {
    files.push_back(home + "/.config/pip/pip.conf");
  }
  if (const std::string site = environment("VIRTUAL_ENV"); !site.empty()) files.push_back(site + "/pip.conf");
  if (const std::string own = environment("PIP_CONFIG_FILE"); !own.empty()) files.push_back(own);
  return files;
}

std::string pip_value(const Environment& environment, const char* variable, const char* option) {
  std::string value = trimmed(environment(variable));
  if (!value.empty()) return value;
  for (const std::string& file : pip_files(environment)) {
    if (std::string one = pip_option(read_small(file), "download", option); !one.empty()) value = std::move(one);
  }
  return value;
}

}  // namespace

Environment process_environment() {
  return [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
  };
}

std::string pip_option(std::string_view text, std::string_view section, std::string_view option) {
  std::string global;
  std::string special;
  std::string* at = nullptr;      // where the current section's values go
  std::string* longer = nullptr;  // the value that an indented line continues
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const std::string bare = trimmed(line);
    if (bare.empty() || bare.front() == '#' || bare.front() == ';') continue;
    if (line.front() == ' ' || line.front() == '\t') {
      if (longer != nullptr) *longer += (longer->empty() ? "" : " ") + bare;
      continue;
    }
    longer = nullptr;
    if (bare.front() == '[') {
      const std::string name = bare.substr(1, bare.find(']') - 1);
      at = name == section ? &special : name == "global" ? &global : nullptr;
      continue;
    }
    const size_t equals = bare.find_first_of("=:");
    if (at == nullptr || equals == std::string::npos) continue;
    std::string key = trimmed(bare.substr(0, equals));
    for (char& c : key) c = c == '_' ? '-' : c;
    if (key != option) continue;
    *at = trimmed(bare.substr(equals + 1));
    longer = at;
  }
  return special.empty() ? global : special;
}

std::vector<std::string> package_indexes(const Environment& environment) {
  std::vector<std::string> out;
  const std::string first = pip_value(environment, "PIP_INDEX_URL", "index-url");
  out.push_back(first.empty() ? kDefaultIndex : first);
  std::istringstream extra(pip_value(environment, "PIP_EXTRA_INDEX_URL", "extra-index-url"));
  for (std::string one; extra >> one;) out.push_back(one);
  return out;
}

std::string ca_file(const Environment& environment) {
  for (const char* variable : {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}) {
    if (std::string file = environment(variable); !file.empty()) return file;
  }
  return pip_value(environment, "PIP_CERT", "cert");
}

std::string hub_endpoint(const Environment& environment) {
  std::string endpoint = trimmed(environment("HF_ENDPOINT"));
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint.empty() ? kDefaultHub : endpoint;
}

std::string hub_token(const Environment& environment) {
  if (std::string token = trimmed(environment("HF_TOKEN")); !token.empty()) return token;
  std::string file = environment("HF_TOKEN_PATH");
  if (file.empty()) {
    std::string home = environment("HF_HOME");
    if (home.empty()) home = environment("HOME") + "/.cache/huggingface";
    file = home + "/token";
  }
  return trimmed(read_small(file));
}

}  // namespace concerto::fetch
