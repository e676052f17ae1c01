// Engine: one loaded model that serves many generations at once (continuous batching over a paged KV cache).
//
// Threads: one engine thread steps the batch; submit(), cancel tokens and stats are thread-safe from anywhere.
// Determinism: the tokens of a request depend only on the weights, the request and its seed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/cancel_token.h"
#include "base/result.h"
#include "engine/request.h"
#include "engine/speculation_mode.h"
#include "model/model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace concerto::engine {

struct EngineOptions {
  std::string model_path;      // .gguf or Hugging Face folder
  int threads = 0;             // 0: all cores this process may use
  int context = 0;             // per request, 0: min(trained, 8192)
  size_t memory_bytes = 0;     // weights, KV pool and working memory together; 0: what the process may still take
  size_t kv_bytes = 0;         // KV pool; 0: what max_running whole contexts need, as far as the memory holds it
  int max_batch_tokens = 256;  // tokens per forward pass, prompts and decodes together
  int max_running = 16;        // requests in the batch at once; the others wait
  int max_waiting = 512;       // more are refused with kBusy
  double itl_target_ms = 200;  // while somebody's answer streams, a pass takes on prompt tokens up to this time
  bool prefix_cache = true;    // share the KV blocks of equal prefixes (per cache_salt)
  Speculation speculation = Speculation::kAuto;
  std::string draft_path;  // a small model of the same vocabulary that guesses for kAuto; empty: none
  std::string isa;         // force a kernel table, empty: best
  std::string quantize;    // quantise float weights at load: "q8_0", "q4_k"; empty: as in the file
  bool sidecar = true;     // use packed weights in a file beside the model (concerto pack) when they are there
  std::function<void(double)> progress;
};

struct EngineStats {
  int running = 0;
  int waiting = 0;  // for their turn, or set aside
  int kv_blocks_total = 0;
  int kv_blocks_free = 0;      // unused, or kept for the prefix cache only
  uint64_t prompt_tokens = 0;  // computed since start
  uint64_t cached_tokens = 0;  // prompt tokens that the prefix cache spared
  uint64_t completion_tokens = 0;
  uint64_t drafted_tokens = 0;   // guesses of the next tokens that passes computed
  uint64_t accepted_tokens = 0;  // of those, the right ones
  uint64_t passes = 0;           // forward passes
  uint64_t preemptions = 0;      // times a request was set aside for want of KV blocks, to go on later
  size_t weight_bytes = 0;
  size_t working_bytes = 0;  // at most: a pass, its logits, the samplers
  double load_ms = 0;
};

// What an engine is made of, for those who don't load it from a file: tests with a scripted model.
struct EngineParts {
  std::unique_ptr<base::ThreadPool> pool;             // required
  std::unique_ptr<model::Model> model;                // required
  std::unique_ptr<model::Model> draft;                // may be null; of the same vocabulary (draft_vocabulary.h)
  std::unique_ptr<text::Tokenizer> tokenizer;         // required
  std::unique_ptr<text::ChatTemplate> chat_template;  // may be null
  const kernels::KernelTable* table = nullptr;        // required
  SamplingParams default_sampling;
  double load_ms = 0;
};

class Engine {
 public:
  static base::Result<std::unique_ptr<Engine>> open(const EngineOptions& options);
  // model_path, draft_path, threads, isa, quantize and progress are not looked at.
  static base::Result<std::unique_ptr<Engine>> assemble(EngineParts parts, const EngineOptions& options);
  // Cancels what runs (FinishReason::kCancelled), then joins. May happen within a sink: the engine's thread then ends
  // by itself soon after.
  virtual ~Engine() = default;

  // Refuses at once with kContextLength, kInvalidArgument or kBusy; else events follow on `sink`. A cancelled request
  // ends with FinishReason::kCancelled within a layer of a pass, in whatever phase it is.
  virtual base::Status submit(Request request, Sink sink, base::CancelToken cancel) = 0;

  [[nodiscard]] virtual const text::Tokenizer& tokenizer() const = 0;
  [[nodiscard]] virtual const text::ChatTemplate* chat_template() const = 0;  // nullptr: the model has none
  [[nodiscard]] virtual const model::ModelConfig& config() const = 0;
  [[nodiscard]] virtual const std::string& model_hash() const = 0;
  [[nodiscard]] virtual int context() const = 0;                      // tokens a request may hold, prompt + output
  [[nodiscard]] virtual SamplingParams default_sampling() const = 0;  // generation_config.json or the house default
  [[nodiscard]] virtual EngineStats stats() const = 0;
};

}  // namespace concerto::engine
