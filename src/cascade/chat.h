// A chat request and its events as plain data: what api/ parses into, what every Backend takes and yields.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace concerto::cascade {

struct ChatMessage {
  std::string role;               // system, user, assistant, tool
  std::string content;            // text parts joined
  std::string reasoning_content;  // assistant turns of the history
  std::string name;
  std::string tool_call_id;
  std::string tool_calls_json;  // JSON array, or empty
  int images = 0;               // parts this message carries that are not text
};

// Unset fields take the tier's default.
struct ChatRequest {
  std::string id;  // "chatcmpl-..."; appears in logs, the decision record, the case
  std::vector<ChatMessage> messages;
  std::optional<float> temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
  std::optional<int> top_k, max_tokens, repeat_last_n;
  std::optional<uint64_t> seed;
  uint32_t choice = 0;  // which of the answers to one request: draws are keyed by (seed, choice, position)
  std::vector<std::string> stop;
  std::vector<std::pair<int32_t, float>> logit_bias;
  bool logprobs = false;
  int top_logprobs = 0;
  bool stream = false;
  std::string tools_json;
  std::string extra_template_json;
  std::string cache_salt;
  std::string tenant;  // whose request it is, as an opaque id: tenants share no cached prefix. Never sent on
  std::string user;
};

struct TokenAlternative {
  std::string bytes;
  float logprob = 0;
};

struct TokenInfo {
  std::string bytes;  // raw bytes of the token, possibly a part of a character
  float logprob = 0;
  float margin = 0;       // 0 when the backend does not know it
  float entropy = 0;      // 0 when the backend does not know it
  bool thinking = false;  // inside <think>...</think>
  std::vector<TokenAlternative> top;
};

// Text that became certain: whole characters only, stop strings held back, <think> split off.
struct Delta {
  std::string content;
  std::string reasoning;
  std::vector<TokenInfo> tokens;  // tokens that this delta's text consumed (may be empty from an upstream)
};

enum class FinishReason { kStop, kLength, kToolCalls, kContentFilter };

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
};

struct End {
  FinishReason reason = FinishReason::kStop;
  Usage usage;
  double queue_ms = 0, prompt_ms = 0, generate_ms = 0;
  int drafted_tokens = 0, accepted_tokens = 0;  // guesses computed, and the right ones of them (engine/speculator.h)
};

// A tier of people took the request up as a case: the first event of such a tier, before its Delta.
struct CaseOpened {
  std::string case_id;
};

// Any number of Delta, then exactly one End or Error.
using BackendEvent = std::variant<CaseOpened, Delta, End, base::Error>;

// What an earlier tier wrote, or why it wrote nothing.
struct Draft {
  std::string tier;
  std::string outcome;  // Attempt::outcome
  std::string content;  // may be cut short: the tier was given up in the middle
  std::string reasoning;
  std::optional<double> confidence;
  std::string model_id;
};

// What a tier is told about the way the request came: people see it at the desk.
struct Handover {
  std::string reason;         // Decision::reason as it stands
  std::vector<Draft> drafts;  // tiers tried before, in order
};

}  // namespace concerto::cascade
