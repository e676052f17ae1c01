#include "app/default_config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>

#include "app/paths.h"

namespace concerto::app {
namespace {

using base::Code;
using base::fail;

constexpr const char* kHead =
    R"(# Concerto's configuration. Relative paths are relative to this file; "~" is your home folder.
# An unknown key is an error: `concerto doctor` checks this file. A flag or CONCERTO_PORT, CONCERTO_BIND,
# CONCERTO_THRESHOLD, CONCERTO_THREADS, CONCERTO_MEMORY_MB, CONCERTO_ITL_TARGET_MS of the environment go over what is
# written here.

[server]
bind = "127.0.0.1"               # another address needs api_keys_file
port = 8080
admin_keys_file = "admin.keys"   # one key a line; who holds one may answer cases
# api_keys_file = "api.keys"     # one key a line; then every client needs one
# allowed_origins = ["https://chat.example"]   # web pages elsewhere that may call this server
# memory_mb = 0                  # all that the server may hold; 0: nine tenths of what is free at its start
# drain_ms = 30000               # how long answers under way may go on after SIGTERM

# The tiers, in the order in which they are asked. A tier that has another one behind it answers only when it is sure
# enough of its answer. Each can also be asked alone, by its name as the model's name.
)";

constexpr const char* kTier = R"([[tier]]
name = "{}"
kind = "local"
model = "{}"   # a .gguf file or a Hugging Face folder
# threads = 0                    # 0: all cores
# context = 0                    # tokens that a conversation may hold; 0: the smaller of trained and 8192
# kv_mb = 0                      # memory for running conversations; 0: what the server's memory leaves
# itl_target_ms = 200            # a new prompt is computed in parts that hold up running answers no longer than this
# speculation = "auto"           # guess from earlier text: faster where answers repeat it, never different; or "off"
# draft = "small.gguf"           # a small model of the same family that guesses for a big one (7B)

)";

constexpr const char* kUpstream = R"(# Instead of a local model: any OpenAI-compatible server.
# [[tier]]
# name = "cluster"
# kind = "upstream"
# base_url = "https://cluster.example/v1"
# model = "Qwen2-7B-Instruct"
# api_key_file = "cluster.key"   # or api_key_env = "CLUSTER_KEY"
# first_event_ms = 30000         # it must begin within this time ...
# timeout_ms = 300000            # ... and end within this one, or the next tier is asked

)";

constexpr const char* kTail = R"([[tier]]
name = "people"
kind = "people"                  # what no model can answer becomes a case that a person answers

[cascade]
threshold = 0.85                 # a tier below this confidence passes the request on
window_tokens = 48               # tokens seen before a tier is believed; 0: the whole answer
keywords = ["合同", "法律", "赔偿"]   # a request with one of these skips the first tier
keyword_exceptions = []          # words that only look like a keyword; "集合同步" and the like are built in

# [store]
# path = "{}"
)";

}  // namespace

std::string default_config(bool tiny, const std::string& models) {
  const auto model = [&](const char* name) { return shorten_path(models) + "/" + name + ".gguf"; };
  std::string text = kHead;
  text += "\n";
  if (tiny) {
    text += fmt::format(fmt::runtime(kTier), "tiny", model("smollm2-135m-instruct-q4_1"));
  } else {
    text += fmt::format(fmt::runtime(kTier), "small", model("qwen2.5-coder-0.5b-instruct-q4_k_m"));
    text += fmt::format(fmt::runtime(kTier), "big", model("qwen2.5-coder-1.5b-instruct-q4_k_m"));
  }
  text += kUpstream;
  return text + fmt::format(fmt::runtime(kTail), shorten_path(data_folder()) + "/concerto.db");
}

std::string new_key() {
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::random_device device;
  std::uniform_int_distribution<size_t> pick(0, kLetters.size() - 1);
  std::string key("ck_");
  for (int i = 0; i < 40; ++i) key.push_back(kLetters[pick(device)]);
  return key;
}

base::Status create_file(const std::string& path, const std::string& text, unsigned mode) {
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error)
    return fail(Code::kIo,
                fmt::format("{}: expected to make this folder, found: {}", folder.string(), error.message()));
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) {
    const bool there = errno == EEXIST;
    return fail(there ? Code::kConflict : Code::kIo,
                fmt::format("{}: expected to create this file, found: {}", path, std::strerror(errno)));
  }
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(file, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  const bool good = done == text.size() && ::fsync(file) == 0;
  const int reason = errno;
  ::close(file);
  if (good) return {};
  ::unlink(path.c_str());  // half a configuration would be worse than none
  return fail(Code::kIo,
              fmt::format("{}: expected to write {} bytes, found: {}", path, text.size(), std::strerror(reason)));
}

}  // namespace concerto::app
