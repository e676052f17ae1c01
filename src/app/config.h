// Config: concerto.toml as plain data, and how it is found and read.
//
// Strict: an unknown key, a wrong type or a value out of range is an error with file:line, expected and found; all of
// a file's errors are reported together. Precedence: flag > environment > file > default.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/speculation_mode.h"

namespace concerto::app {

inline constexpr int kMaxMemoryMb = 1 << 24;
inline constexpr double kMinItlTargetMs = 1;
inline constexpr double kMaxItlTargetMs = 60'000;

struct ServerConfig {
  std::string bind = "127.0.0.1";
  int port = 8080;              // 0: any free one
  std::string api_keys_file;    // one key per line; empty: no key needed, loopback binds only
  std::string admin_keys_file;  // who may answer cases; empty: nobody
  std::vector<std::string> allowed_origins;
  std::vector<std::string> allowed_hosts;
  int worker_threads = 2;
  int max_connections = 2048;
  int max_body_mb = 8;
  int memory_mb = 0;      // all that the process may hold; 0: nine tenths of what is free at the start
  int drain_ms = 30'000;  // how long answers under way may go on after SIGTERM
};

enum class TierKind { kLocal, kUpstream, kPeople };
std::string_view kind_name(TierKind kind) noexcept;  // "local", "upstream", "people"

struct TierConfig {
  std::string name;
  TierKind kind = TierKind::kLocal;
  int timeout_ms = 0;      // to the end of an answer, 0: none
  int first_event_ms = 0;  // to its first event, 0: none
  // local
  std::string model;           // a .gguf file or a Hugging Face folder; in an upstream tier: the model's name there
  int threads = 0;             // 0: all cores
  int context = 0;             // tokens a request may hold; 0: the smaller of trained and 8192
  int kv_mb = 0;               // memory for running conversations; 0: what the server's memory leaves
  double itl_target_ms = 200;  // while somebody's answer streams, a pass takes on prompt tokens up to this time
  std::string quantize;
  int max_running = 16;
  int max_waiting = 512;
  engine::Speculation speculation = engine::Speculation::kAuto;
  std::string draft;  // a small model of the same vocabulary that guesses for this one; empty: none
  // upstream
  std::string base_url;  // "https://host/v1"
  std::string api_key_file;
  std::string api_key_env;
  bool logprobs = false;  // ask it for log-probabilities, so that its answers have a confidence
};

struct CascadeConfig {
  double threshold = 0.85;
  int window_tokens = 48;
  std::vector<std::string> keywords = {"合同", "法律", "赔偿"};
  std::vector<std::string> keyword_exceptions;
};

struct Config {
  std::string file;
  ServerConfig server;
  std::vector<TierConfig> tiers;
  CascadeConfig cascade;
  std::string store_path;
};

// What flags and environment say over the file. Empty: nothing.
struct Overrides {
  std::optional<std::string> config;               // --config, CONCERTO_CONFIG
  std::optional<std::string> bind;                 // --bind, CONCERTO_BIND
  std::optional<int> port;                         // --port, CONCERTO_PORT
  std::optional<double> threshold;                 // --threshold, CONCERTO_THRESHOLD
  std::optional<int> threads;                      // --threads, CONCERTO_THREADS: of each local tier
  std::optional<engine::Speculation> speculation;  // --speculation: of each local tier
  std::optional<int> memory_mb;                    // --memory, CONCERTO_MEMORY_MB
  std::optional<double> itl_target;                // --itl-target, CONCERTO_ITL_TARGET_MS: of each local tier
};

// Fills what `flags` leaves open from CONCERTO_*. kInvalidArgument names the variable.
base::Result<Overrides> with_environment(Overrides flags);

// The file to read: overrides.config, else ./concerto.toml, else config_folder()/concerto.toml. kNotFound says where
// it looked and that `concerto init` writes one.
base::Result<std::string> find_config(const Overrides& overrides);

// Parses; paths come out absolute or relative to the working folder as resolve_path gives them.
base::Result<Config> parse_config(std::string_view text, const std::string& file);

// find, read, parse, override.
base::Result<Config> load_config(const Overrides& flags);

// The keys of a file: one a line, '#' starts a comment. An empty path gives none. `environment_name`: a variable that
// holds one more key. Warns about a file that others may read.
base::Result<std::vector<std::string>> read_keys(const std::string& path, const char* environment_name);

}  // namespace concerto::app
