// UpstreamBackend: a tier that is somebody's OpenAI-compatible server: another Concerto, vLLM, SGLang, a provider.
//
// Always streams, whatever the client wants, so that a dead upstream is noticed and the first words come early. Its
// errors become codes of ours with a message that names tier and status; the key never appears in one. A key that the
// upstream refuses is the operator's trouble, not the client's: kUpstream, not kUnauthorized. Images and tools are not
// passed on yet (a ChatRequest holds no images and a Delta no calls): its capabilities say so.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cascade/backend.h"
#include "net/http_client.h"

namespace concerto::cascade {

struct UpstreamOptions {
  std::string name;      // the tier
  std::string base_url;  // "https://host/v1": /chat/completions is appended
  std::string model;
  std::string api_key;    // empty: no Authorization header
  int context = 0;        // tokens, 0: unknown. Its own tokenizer counts, so nothing is refused here by it
  bool logprobs = false;  // ask for log-probabilities (top 2), so that its answers have a confidence
  int connect_timeout_ms = 5'000;
  int idle_timeout_ms = 60'000;  // no byte for so long
  std::string ca_file;           // PEM; empty: the system's
};

// kInvalidArgument names the option. `client` must outlive the backend and what it was asked to do.
base::Result<std::shared_ptr<Backend>> make_upstream_backend(UpstreamOptions options, net::HttpClient& client);

// A key from the environment variable `env`, else from the first line of `file`; empty when both names are empty.
// kNotFound, kIo name the variable or the file.
base::Result<std::string> read_api_key(const std::string& env, const std::string& file);

}  // namespace concerto::cascade
