#include "engine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace concerto::engine {
namespace {

constexpr int kBlock = kernels::kKvBlockTokens;
constexpr int kScoredRows = 64;  // prompt tokens scored per pass: bounds the logits to 64 V floats beside the decodes
constexpr int kFirstChunk = 64;  // beside decodes, while no pass has told how fast this machine is
constexpr int kSmallestChunk = 16;  // a slower prompt would hardly end; 16 tokens cost about 3 decode passes
constexpr int kTellingTokens = 16;  // a pass of fewer is bound by memory and says little about a token's cost

int blocks_of(int positions) { return (positions + kBlock - 1) / kBlock; }
double ms(int64_t ns) { return static_cast<double>(ns) * 1e-6; }

KvCache::BlockTokens block_tokens(const Sequence& s, int block) {
  return KvCache::BlockTokens{s.tokens.data() + static_cast<ptrdiff_t>(block) * kBlock, kBlock};
}

}  // namespace

Scheduler::Scheduler(const SchedulerParts& parts, const SchedulerOptions& options)
    : parts_(parts), options_(options), vocab_(parts.model->config().n_vocab), cache_(parts.kv->blocks()) {
  CHECK(options.max_running >= 1 && options.max_running <= options.max_batch_tokens);
  scratch_.resize(static_cast<size_t>(parts.pool->size()));
}

int Scheduler::blocks_for(int prompt_tokens, int max_tokens) {
  // The last token's K and V are never needed.
  return blocks_of(std::max(prompt_tokens, prompt_tokens + max_tokens - 1));
}

bool Scheduler::admits(const Job& job) const {
  if (static_cast<int>(running_.size()) >= options_.max_running) return false;
  const auto& prompt = job.request.prompt;
  int needed = blocks_for(static_cast<int>(prompt.size()), job.request.max_tokens);
  if (options_.prefix_cache && !job.request.prompt_logprobs) {
    // Blocks that somebody holds anyway cost nothing; kept ones do, since they can no longer be evicted.
    int parent = KvCache::kNone;
    for (size_t end = kBlock; end < prompt.size(); end += kBlock) {
      const KvCache::BlockTokens tokens{prompt.data() + (end - kBlock), kBlock};
      parent = cache_.find(parent, job.request.cache_salt, tokens);
      if (parent == KvCache::kNone) break;
      if (cache_.refs(parent) > 0) --needed;
    }
  }
  return needed <= cache_.available() - reserved_;
}

void Scheduler::start(Job job) {
  auto s = std::make_unique<Sequence>();
  s->prompt_tokens = static_cast<int>(job.request.prompt.size());
  s->max_tokens = job.request.max_tokens;
  s->tokens = job.request.prompt;
  s->reserved_blocks = blocks_for(s->prompt_tokens, s->max_tokens);
  s->admitted_ns = parts_.clock->now_ns();
  s->job = std::move(job);
  reserved_ += s->reserved_blocks;
  take_known_blocks(*s);
  CHECK(reserved_ <= cache_.available());
  running_.push_back(std::move(s));
}

bool Scheduler::step() {
  drop_cancelled();
  if (running_.empty()) return false;
  const int64_t begin_ns = parts_.clock->now_ns();
  plan();
  run_model();
  read_rows();
  const int64_t end_ns = parts_.clock->now_ns();
  const auto count = static_cast<int>(tokens_.size());
  if (count >= kTellingTokens && end_ns > begin_ns) {
    const double now = static_cast<double>(end_ns - begin_ns) / count;
    ns_per_token_ = ns_per_token_ == 0 ? now : 0.5 * (ns_per_token_ + now);
  }
  ++counters_.passes;
  report();
  return true;
}

void Scheduler::drop_cancelled() {
  for (auto& s : running_) {
    if (s->job.cancel.cancelled()) finish(*s, FinishReason::kCancelled);
  }
  remove_ended();
}

void Scheduler::cancel_all() {
  for (auto& s : running_) finish(*s, FinishReason::kCancelled);
  remove_ended();
}

// Extends the computed part by blocks the cache knows. At least one prompt token stays to be computed: its logits are
// what the answer starts from.
void Scheduler::take_known_blocks(Sequence& s) {
  if (!options_.prefix_cache || s.job.request.prompt_logprobs || s.computed % kBlock != 0) return;
  while (s.computed + kBlock < s.prompt_tokens) {
    const int parent = s.blocks.empty() ? KvCache::kNone : s.blocks.back();
    const int block = cache_.find(parent, s.job.request.cache_salt, block_tokens(s, s.indexed_blocks));
    if (block == KvCache::kNone) return;
    cache_.acquire(block);
    s.blocks.push_back(block);
    ++s.indexed_blocks;
    --s.reserved_blocks;
    --reserved_;
    s.computed += kBlock;
    s.cached_tokens += kBlock;
    counters_.cached_tokens += kBlock;
  }
}

// True when an earlier request is about to compute exactly the block that this one needs next.
bool Scheduler::waits_for_earlier(size_t index) const {
  const Sequence& s = *running_[index];
  if (!options_.prefix_cache || s.job.request.prompt_logprobs) return false;
  if (s.computed % kBlock != 0 || s.computed + kBlock >= s.prompt_tokens) return false;
  const auto end = static_cast<ptrdiff_t>(s.computed) + kBlock;
  for (size_t i = 0; i < index; ++i) {
    const Sequence& earlier = *running_[i];
    if (earlier.computed < end && std::ssize(earlier.tokens) >= end &&
        earlier.job.request.cache_salt == s.job.request.cache_salt &&
        std::equal(s.tokens.begin(), s.tokens.begin() + end, earlier.tokens.begin())) {
      return true;
    }
  }
  return false;
}

int Scheduler::prompt_budget(int decodes) const {
  const int room = options_.max_batch_tokens - decodes;
  if (decodes == 0) return room;
  int chunk = kFirstChunk;
  if (ns_per_token_ > 0) {
    const double fits = options_.itl_target_ms * 1e6 / ns_per_token_;
    chunk = std::max(kSmallestChunk, static_cast<int>(std::min(fits, 1e6)) - decodes);
  }
  return std::min(chunk, room);
}

void Scheduler::plan() {
  shares_.clear();
  rows_.clear();
  tokens_.clear();
  tables_.clear();
  logit_rows_.clear();
  int decodes = 0;
  for (auto& s : running_) {
    if (!s->decoding()) continue;
    add_share(*s, 1);
    ++decodes;
  }
  int budget = prompt_budget(decodes);
  int scored = kScoredRows;
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& s = *running_[i];
    if (s.decoding()) continue;
    take_known_blocks(s);
    if (waits_for_earlier(i)) continue;
    int count = std::min(budget, s.pending());
    if (s.job.request.prompt_logprobs) {
      count = std::min(count, scored);
      scored -= count;
    }
    if (count == 0) continue;
    budget -= count;
    add_share(s, count);
  }
  CHECK(!shares_.empty());
  // Only now, since a growing vector moves its memory.
  for (const Share& share : shares_) tables_.emplace_back(share.sequence->blocks);
}

void Scheduler::add_share(Sequence& s, int count) {
  const int end = s.computed + count;
  while (static_cast<int>(s.blocks.size()) < blocks_of(end)) {
    CHECK(s.reserved_blocks > 0);
    s.blocks.push_back(cache_.allocate());
    --s.reserved_blocks;
    --reserved_;
  }
  const auto index = static_cast<int32_t>(shares_.size());
  shares_.push_back({&s, count});
  for (int p = s.computed; p < end; ++p) {
    const bool last = p + 1 == static_cast<int>(s.tokens.size());
    const bool draw = last && s.max_tokens > 0;
    if (draw || (!last && s.job.request.prompt_logprobs)) {
      logit_rows_.push_back(static_cast<int32_t>(tokens_.size()));
      rows_.push_back({&s, p, draw, true, {}});
    }
    tokens_.push_back({s.tokens[static_cast<size_t>(p)], p, index});
  }
  if (!s.decoding()) counters_.prompt_tokens += static_cast<uint64_t>(count);
}

void Scheduler::run_model() {
  logits_.resize(std::max(logits_.size(), rows_.size() * static_cast<size_t>(vocab_)));
  parts_.model->forward({tokens_, tables_, logit_rows_}, parts_.kv->base(), logits_.data(), *parts_.pool);
}

void Scheduler::read_row(Row& row, float* logits, RowScratch& scratch) const {
  const Sequence& s = *row.sequence;
  if (!row.draw) {
    const int32_t next = s.tokens[static_cast<size_t>(row.position) + 1];
    row.event.id = next;
    const float logprob = logits[next] - parts_.log_sum_exp(logits, vocab_);
    row.finite = std::isfinite(logprob);
    row.event.logprob = std::min(0.0F, logprob);
    return;
  }
  const Request& request = s.job.request;
  read_signals(logits, vocab_, request.top_logprobs, parts_.log_sum_exp, &scratch.signals);
  row.finite = scratch.signals.finite;
  if (!row.finite) return;
  const int32_t id = sample(logits, vocab_, s.tokens, s.prompt_tokens, request.sampling, &scratch.sampler);
  row.event = token_event(scratch.signals, logits, id, request.top_logprobs);
}

void Scheduler::read_rows() {
  parts_.pool->parallel_for(static_cast<int>(rows_.size()), 1, [&](int begin, int end, int worker) {
    for (int r = begin; r < end; ++r) {
      read_row(rows_[static_cast<size_t>(r)], logits_.data() + static_cast<size_t>(r) * static_cast<size_t>(vocab_),
               scratch_[static_cast<size_t>(worker)]);
    }
  });
}

void Scheduler::report() {
  size_t row = 0;
  for (const Share& share : shares_) {
    Sequence& s = *share.sequence;
    s.computed += share.count;
    if (options_.prefix_cache) index_full_blocks(s);
    const size_t first = row;
    while (row < rows_.size() && rows_[row].sequence == &s) ++row;
    const auto rows = std::span(rows_).subspan(first, row - first);
    if (const auto bad = std::ranges::find_if(rows, [](const Row& r) { return !r.finite; }); bad != rows.end()) {
      fail(s, not_finite(bad->position));
      continue;
    }
    for (const Row& r : rows) {
      if (!r.draw) s.prompt_logprobs.push_back(r.event.logprob);
    }
    if (!s.prompt_reported && s.computed == s.prompt_tokens) {
      s.prompt_reported = true;
      s.prompt_done_ns = parts_.clock->now_ns();
      s.job.sink(PromptEvent{s.prompt_tokens, s.cached_tokens, std::move(s.prompt_logprobs)});
      if (s.max_tokens == 0) finish(s, FinishReason::kLength);
    }
    if (!rows.empty() && rows.back().draw) report_token(s, std::move(rows.back().event));
  }
  remove_ended();
}

void Scheduler::report_token(Sequence& s, TokenEvent event) {
  const int32_t id = event.id;
  if (!s.job.request.ignore_end && parts_.tokenizer->is_end(id)) {
    finish(s, FinishReason::kStop);
    return;
  }
  s.tokens.push_back(id);
  ++counters_.completion_tokens;
  s.job.sink(std::move(event));
  if (s.output_tokens() == s.max_tokens) finish(s, FinishReason::kLength);
}

// Makes the full blocks findable. Where an equal one is known already (two requests computed it at once, or one could
// not share because its prompt was being scored), ours is given back and that one held instead: same bits, less memory.
void Scheduler::index_full_blocks(Sequence& s) {
  for (; (s.indexed_blocks + 1) * kBlock <= s.computed; ++s.indexed_blocks) {
    const auto at = static_cast<size_t>(s.indexed_blocks);
    const int parent = at == 0 ? KvCache::kNone : s.blocks[at - 1];
    const auto tokens = block_tokens(s, s.indexed_blocks);
    const int known = cache_.find(parent, s.job.request.cache_salt, tokens);
    if (known == KvCache::kNone) {
      cache_.index(s.blocks[at], parent, s.job.request.cache_salt, tokens);
    } else {
      cache_.acquire(known);
      cache_.release(s.blocks[at]);
      s.blocks[at] = known;
    }
  }
}

base::Error Scheduler::not_finite(int position) const {
  return {base::Code::kCorrupt, fmt::format("model {}: logits at position {}: expected finite numbers, found NaN or "
                                            "infinity: the weights are damaged or overflow",
                                            parts_.model->config().name, position)};
}

void Scheduler::finish(Sequence& s, FinishReason reason) {
  if (s.ended) return;
  s.ended = true;
  const int64_t now = parts_.clock->now_ns();
  FinishEvent event{reason, s.prompt_tokens, s.cached_tokens, s.output_tokens(), {}};
  event.timings.queue_ms = ms(s.admitted_ns - s.job.submitted_ns);
  event.timings.prompt_ms = ms((s.prompt_reported ? s.prompt_done_ns : now) - s.admitted_ns);
  event.timings.generate_ms = s.prompt_reported ? ms(now - s.prompt_done_ns) : 0;
  release(s);
  s.job.sink(event);
}

void Scheduler::fail(Sequence& s, base::Error error) {
  s.ended = true;
  release(s);
  s.job.sink(std::move(error));
}

void Scheduler::release(Sequence& s) {
  for (auto it = s.blocks.rbegin(); it != s.blocks.rend(); ++it) cache_.release(*it);  // ends first: see kv_cache.h
  s.blocks.clear();
  reserved_ -= s.reserved_blocks;
  s.reserved_blocks = 0;
}

void Scheduler::remove_ended() {
  std::erase_if(running_, [](const auto& s) { return s->ended; });
}

SchedulerCounters Scheduler::counters() const {
  SchedulerCounters c = counters_;
  c.running = static_cast<int>(running_.size());
  c.blocks_free = cache_.available();
  return c;
}

bool Scheduler::consistent() const {
  int reserved = 0;
  std::vector<int> held(static_cast<size_t>(cache_.total()), 0);
  for (const auto& s : running_) {
    reserved += s->reserved_blocks;
    if (s->reserved_blocks < 0) return false;
    for (const int32_t b : s->blocks) ++held[static_cast<size_t>(b)];
  }
  for (int b = 0; b < cache_.total(); ++b) {
    if (cache_.refs(b) != held[static_cast<size_t>(b)]) return false;
  }
  return reserved == reserved_ && reserved_ <= cache_.available() && cache_.consistent();
}

}  // namespace concerto::engine
