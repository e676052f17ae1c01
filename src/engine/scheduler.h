// Scheduler: which tokens the next forward pass computes, for whom, in which blocks; then what they are told.
//
// Continuous batching: each pass computes the next token of every running decode, and prompt tokens of those who still
// lack some, in order of admission, up to a budget. While somebody decodes the budget is what keeps a pass within
// `itl_target_ms`, measured on the passes before: a stream never waits longer than about one such chunk.
//
// Memory: a request is admitted, first come first, when the blocks of its prompt and a first one for its answer are
// available beside what the others were promised. Answers grow block by block. When none is left for one, the request
// admitted last is set aside: it gives its blocks back, keeps its tokens, and is the next to go on once they fit again
// (what the prefix cache still knows is not computed twice). The one admitted first is never set aside and fits alone
// (engine/validate.h), so it ends; then the next is first: nobody starves and nothing can lock.
//
// Cancelling: seen before each pass and between the layers of one. The request is told at once; the pass goes on for
// the others, or is left off when nobody is left in it (what a pass wrote counts only when it is through).
//
// Prefix cache: a block is taken from KvCache instead of computed whenever it is known, also in the middle of a prompt.
// A request whose next block is just being computed by an earlier one with the same prefix waits for it. Where a known
// block agrees with a prompt in its first tokens only, those are copied.
//
// Speculation: a pass may also compute guesses of the tokens that follow (speculator.h).
//
// None of this can change a token (see kernels.h, CONTRACT), only when it comes.
// One thread calls everything; Sinks are called within step() and cancel_all().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "engine/kv_cache.h"
#include "engine/kv_pool.h"
#include "engine/sampler.h"
#include "engine/sequence.h"
#include "engine/signals.h"
#include "engine/speculator.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace concerto::engine {

// Prompt tokens scored per pass: bounds the logits to so many rows beside the decodes'.
inline constexpr int kScoredRows = 64;

struct SchedulerOptions {
  int context = 0;  // tokens a request may hold
  int max_batch_tokens = 256;
  int max_running = 16;  // <= max_batch_tokens
  double itl_target_ms = 200;
  bool prefix_cache = true;
  Speculation speculation = Speculation::kAuto;
};

// What the scheduler works with; all of it outlives the scheduler.
struct SchedulerParts {
  model::Model* model = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  base::ThreadPool* pool = nullptr;
  KvPool* kv = nullptr;
  LogSumExp log_sum_exp = nullptr;
  const base::Clock* clock = nullptr;
  DraftModel* draft = nullptr;  // may be null
};

struct SchedulerCounters {
  int running = 0;
  int set_aside = 0;    // now
  int blocks_free = 0;  // free or evictable
  uint64_t prompt_tokens = 0;
  uint64_t cached_tokens = 0;
  uint64_t completion_tokens = 0;
  uint64_t drafted_tokens = 0;   // guesses computed
  uint64_t accepted_tokens = 0;  // of those, the right ones
  uint64_t passes = 0;
  uint64_t preemptions = 0;
};

class Scheduler {
 public:
  Scheduler(const SchedulerParts& parts, const SchedulerOptions& options);

  // The blocks a request of this size holds at its end.
  static int blocks_for(int prompt_tokens, int max_tokens);

  // True when start(job) may be called now. A job must be valid (engine/validate.h).
  [[nodiscard]] bool admits(const Job& job) const;
  void start(Job job);
  // Ends what was cancelled, then runs one pass. Returns false when nobody is running. `between` (may be empty) is
  // called between the layers; when it returns true the pass is left off, and nothing of it counts.
  bool step(const std::function<bool()>& between = nullptr);
  void cancel_all();

  [[nodiscard]] bool idle() const noexcept { return running_.empty() && aside_.empty(); }
  [[nodiscard]] SchedulerCounters counters() const;
  [[nodiscard]] const KvCache& cache() const noexcept { return cache_; }
  [[nodiscard]] bool consistent() const;  // tests: blocks held, promised and known add up

 private:
  // A sequence's part of the pass: its tokens [computed, computed + count).
  struct Share {
    Sequence* sequence = nullptr;
    int count = 0;
  };
  // A row of logits of the pass: either the next token is drawn from it, or the next prompt token is scored. Behind a
  // guess that turned out wrong it means nothing and may not have been read.
  struct Row {
    Sequence* sequence = nullptr;
    int position = 0;
    bool draw = false;
    bool finite = true;
    TokenEvent event;  // of the drawn token; of a scored one only logprob is set
  };
  // What one worker needs to read a row.
  struct RowScratch {
    RowSignals signals;
    SamplerScratch sampler;
  };

  void drop_cancelled();
  void tell_cancelled();
  [[nodiscard]] int held_blocks(std::span<const int32_t> tokens, const std::string& salt) const;
  [[nodiscard]] size_t cacheable(const Request& request, size_t tokens, bool scores) const;
  [[nodiscard]] bool fits(const Request& request, std::span<const int32_t> tokens, bool scores) const;
  void enter(std::unique_ptr<Sequence> sequence);
  void resume();
  void set_youngest_aside();
  bool make_room(size_t index, int count);
  bool abandons_pass(const std::function<bool()>& between);
  void take_known_blocks(Sequence& s);
  void copy_known_part(Sequence& s);
  void index_last_part(Sequence& s);
  [[nodiscard]] bool waits_for_earlier(size_t index) const;
  [[nodiscard]] int prompt_budget(int decoded) const;
  int plan_decodes();
  void add_guesses(Sequence& s);
  static void drop_guesses(Sequence& s);
  void plan();
  void add_share(Sequence& s, int count);
  bool run_model(const std::function<bool()>& between);
  void read_row(Row& row, float* logits, RowScratch& scratch) const;
  void read_rows();
  void report();
  void report_prompt(Sequence& s, int count, std::span<Row> rows);
  void report_draws(Sequence& s, std::span<Row> rows);
  void index_full_blocks(Sequence& s);
  void report_token(Sequence& s, TokenEvent event);
  [[nodiscard]] base::Error not_finite(int position) const;
  void finish(Sequence& s, FinishReason reason);
  void fail(Sequence& s, base::Error error);
  void give_back_blocks(Sequence& s);
  void remove_ended();

  SchedulerParts parts_;
  SchedulerOptions options_;
  int vocab_;
  KvCache cache_;
  int reserved_ = 0;                                // sum of reserved_blocks
  std::vector<std::unique_ptr<Sequence>> running_;  // in order of admission
  std::deque<std::unique_ptr<Sequence>> aside_;     // in order of admission, all after the running ones; no blocks
  SchedulerCounters counters_;
  Speculator speculator_;
  double ns_per_token_ = 0;  // of the last passes with enough tokens to tell; 0: unknown

  // The pass under way; kept for their memory.
  std::vector<Share> shares_;
  std::vector<Sequence*> decoding_;
  int decoded_ = 0;  // tokens of the pass that are not of a prompt, guesses included
  std::vector<int32_t> drawn_;
  std::vector<Row> rows_;
  std::vector<model::BatchToken> tokens_;
  std::vector<std::span<const int32_t>> tables_;
  std::vector<int32_t> logit_rows_;
  std::vector<float> logits_;        // [rows, V]
  std::vector<RowScratch> scratch_;  // per worker
};

}  // namespace concerto::engine
