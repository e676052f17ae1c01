#include "engine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace concerto::engine {
namespace {

constexpr int kBlock = kernels::kKvBlockTokens;
constexpr int kFirstChunk = 64;          // beside decodes, while no pass has told how fast this machine is
constexpr int kSmallestChunk = 16;       // a slower prompt would hardly end; 16 tokens cost about 3 decode passes
constexpr double kLongestPassMs = 2000;  // of prompts alone: who comes meanwhile waits for its end
constexpr int kSmallestPass = 64;        // of such a pass; with fewer, reading the weights would cost too much
constexpr int kTellingTokens = 16;       // a pass of fewer is bound by memory and says little about a token's cost

int blocks_of(int positions) { return (positions + kBlock - 1) / kBlock; }
double ms(int64_t ns) { return static_cast<double>(ns) * 1e-6; }

KvCache::BlockTokens block_tokens(const Sequence& s, int block) {
  return KvCache::BlockTokens{s.tokens.data() + static_cast<ptrdiff_t>(block) * kBlock, kBlock};
}

}  // namespace

Scheduler::Scheduler(const SchedulerParts& parts, const SchedulerOptions& options)
    : parts_(parts),
      options_(options),
      vocab_(parts.model->config().n_vocab),
      cache_(parts.kv->blocks()),
      speculator_(options.speculation, *parts.tokenizer, parts.draft) {
  CHECK(options.max_running >= 1 && options.max_running <= options.max_batch_tokens);
  scratch_.resize(static_cast<size_t>(parts.pool->size()));
}

int Scheduler::blocks_for(int prompt_tokens, int max_tokens) {
  // The last token's K and V are never needed.
  return blocks_of(std::max(prompt_tokens, prompt_tokens + max_tokens - 1));
}

bool Scheduler::admits(const Job& job) const {
  if (std::ssize(running_) >= options_.max_running) return false;
  if (!aside_.empty()) return false;  // they came before
  return fits(job.request, job.request.prompt, job.request.prompt_logprobs);
}

// Of `tokens` tokens, the first so many may come from the cache. At least one is computed, since the answer starts from
// its logits, and so is every one from whose logits a score is read.
size_t Scheduler::cacheable(const Request& request, size_t tokens, bool scores) const {
  if (!options_.prefix_cache) return 0;
  return scores ? std::min(tokens, static_cast<size_t>(request.logprobs_from)) - 1 : tokens - 1;
}

// Of the blocks of these tokens, those that somebody holds: to share them costs nothing. (Kept ones do cost, since they
// can no longer be evicted then.)
int Scheduler::held_blocks(std::span<const int32_t> tokens, const std::string& salt) const {
  int held = 0;
  int parent = KvCache::kNone;
  for (; tokens.size() >= kBlock; tokens = tokens.subspan(kBlock)) {
    parent = cache_.find(parent, salt, tokens.first<kBlock>());
    if (parent == KvCache::kNone) break;
    if (cache_.refs(parent) > 0) ++held;
  }
  return held;
}

// Whether there is room for a request that has these tokens so far, with a block to grow for it and for each running
// one that is not at its end, lest somebody is set aside again at once.
bool Scheduler::fits(const Request& request, std::span<const int32_t> tokens, bool scores) const {
  const auto most = [](const Request& r) { return blocks_for(static_cast<int>(r.prompt.size()), r.max_tokens); };
  int needed = std::min(most(request), blocks_of(static_cast<int>(tokens.size())) + 1) -
               held_blocks(tokens.first(cacheable(request, tokens.size(), scores)), request.cache_salt);
  for (const auto& s : running_) {
    if (std::ssize(s->blocks) + s->reserved_blocks < most(s->job.request)) ++needed;
  }
  return needed <= cache_.available() - reserved_;
}

void Scheduler::start(Job job) {
  auto s = std::make_unique<Sequence>();
  s->prompt_tokens = static_cast<int>(job.request.prompt.size());
  s->max_tokens = job.request.max_tokens;
  s->tokens = job.request.prompt;
  s->admitted_ns = parts_.clock->now_ns();
  s->job = std::move(job);
  enter(std::move(s));
}

// Promises it the blocks of the tokens it has.
void Scheduler::enter(std::unique_ptr<Sequence> s) {
  s->reserved_blocks = blocks_of(static_cast<int>(s->tokens.size()));
  reserved_ += s->reserved_blocks;
  take_known_blocks(*s);
  CHECK(reserved_ <= cache_.available());
  running_.push_back(std::move(s));
}

void Scheduler::resume() {
  while (!aside_.empty() && fits(aside_.front()->job.request, aside_.front()->tokens, aside_.front()->scores())) {
    auto s = std::move(aside_.front());
    aside_.pop_front();
    enter(std::move(s));
  }
}

void Scheduler::set_youngest_aside() {
  auto s = std::move(running_.back());
  running_.pop_back();
  give_back_blocks(*s);
  s->computed = 0;
  s->indexed_blocks = 0;
  if (!s->prompt_reported) {
    s->cached_tokens = 0;
    s->prompt_logprobs.clear();
  }
  aside_.push_front(std::move(s));
  ++counters_.preemptions;
}

// Promises running_[index] the blocks of its next `count` tokens, at the cost of those admitted last if need be. False
// when it was itself the last.
bool Scheduler::make_room(size_t index, int count) {
  Sequence& s = *running_[index];
  const int missing = blocks_of(s.computed + count) - static_cast<int>(s.blocks.size()) - s.reserved_blocks;
  if (missing <= 0) return true;
  while (cache_.available() - reserved_ < missing) {
    const bool itself = index + 1 == running_.size();
    CHECK(!itself || index > 0);  // alone, every valid request fits
    set_youngest_aside();
    if (itself) return false;
  }
  s.reserved_blocks += missing;
  reserved_ += missing;
  return true;
}

bool Scheduler::step(const std::function<bool()>& between) {
  drop_cancelled();
  resume();
  if (running_.empty()) return false;
  plan();
  const int64_t begin_ns = parts_.clock->now_ns();
  if (!run_model(between)) {
    for (Sequence* s : decoding_) drop_guesses(*s);
    remove_ended();
    return true;
  }
  read_rows();
  const int64_t end_ns = parts_.clock->now_ns();
  const auto count = static_cast<int>(tokens_.size());
  if (count >= kTellingTokens && end_ns > begin_ns) {
    const double now = static_cast<double>(end_ns - begin_ns) / count;
    ns_per_token_ = ns_per_token_ == 0 ? now : 0.5 * (ns_per_token_ + now);
  }
  if (decoded_ == count) speculator_.took(count, end_ns - begin_ns);
  ++counters_.passes;
  report();
  return true;
}

void Scheduler::drop_cancelled() {
  tell_cancelled();
  remove_ended();
}

void Scheduler::tell_cancelled() {
  const auto tell = [this](auto& sequences) {
    for (auto& s : sequences) {
      if (s->job.cancel.cancelled()) finish(*s, FinishReason::kCancelled);
    }
  };
  tell(running_);
  tell(aside_);
}

void Scheduler::cancel_all() {
  for (auto& s : running_) finish(*s, FinishReason::kCancelled);
  for (auto& s : aside_) finish(*s, FinishReason::kCancelled);
  remove_ended();
}

// Between the layers of a pass: tells those who were cancelled; true when the pass has no purpose any more.
bool Scheduler::abandons_pass(const std::function<bool()>& between) {
  const bool leave_off = between && between();
  tell_cancelled();
  return leave_off || std::ranges::all_of(shares_, [](const Share& share) { return share.sequence->ended; });
}

// Extends the computed part by blocks the cache knows.
void Scheduler::take_known_blocks(Sequence& s) {
  if (s.computed % kBlock != 0) return;
  const auto last = static_cast<int>(cacheable(s.job.request, s.tokens.size(), s.scores()));
  while (s.computed + kBlock <= last) {
    const int parent = s.blocks.empty() ? KvCache::kNone : s.blocks.back();
    const int block = cache_.find(parent, s.job.request.cache_salt, block_tokens(s, s.indexed_blocks));
    if (block == KvCache::kNone) return;
    cache_.acquire(block);
    s.blocks.push_back(block);
    ++s.indexed_blocks;
    --s.reserved_blocks;
    --reserved_;
    s.computed += kBlock;
    if (!s.prompt_reported) s.cached_tokens += kBlock;
    counters_.cached_tokens += kBlock;
  }
}

// The tokens before the first one that nobody knows, out of a block that goes on otherwise.
void Scheduler::copy_known_part(Sequence& s) {
  const auto last = static_cast<int>(cacheable(s.job.request, s.tokens.size(), s.scores()));
  if (s.computed % kBlock != 0 || s.computed >= last) return;
  const int parent = s.blocks.empty() ? KvCache::kNone : s.blocks.back();
  const auto wanted = std::span<const int32_t>(s.tokens).subspan(
      static_cast<size_t>(s.computed), static_cast<size_t>(std::min(kBlock, last - s.computed)));
  const KvCache::Part part = cache_.find_part(parent, s.job.request.cache_salt, wanted);
  // Held while it is copied, lest its memory is the one handed out.
  if (part.count == 0 || cache_.available() - (cache_.refs(part.block) == 0 ? 1 : 0) < 1) return;
  CHECK(s.reserved_blocks > 0);
  cache_.acquire(part.block);
  const int own = cache_.allocate();
  const size_t values = parts_.kv->bytes() / sizeof(uint16_t) / static_cast<size_t>(parts_.kv->blocks());
  std::copy_n(parts_.kv->base() + static_cast<size_t>(part.block) * values, values,
              parts_.kv->base() + static_cast<size_t>(own) * values);
  cache_.release(part.block);
  s.blocks.push_back(own);
  --s.reserved_blocks;
  --reserved_;
  s.computed += part.count;
  if (!s.prompt_reported) s.cached_tokens += part.count;
  counters_.cached_tokens += static_cast<uint64_t>(part.count);
}

// Lets others copy from the block that a request leaves unfull.
void Scheduler::index_last_part(Sequence& s) {
  const auto full = static_cast<size_t>(s.indexed_blocks);
  const int count = s.computed - s.indexed_blocks * kBlock;
  if (!options_.prefix_cache || count <= 0 || count >= kBlock || s.blocks.size() <= full) return;
  const int parent = full == 0 ? KvCache::kNone : s.blocks[full - 1];
  cache_.index_part(s.blocks[full], parent, s.job.request.cache_salt,
                    std::span<const int32_t>(s.tokens).subspan(full * kBlock, static_cast<size_t>(count)));
}

// True when an earlier request is about to compute exactly the block that this one needs next.
bool Scheduler::waits_for_earlier(size_t index) const {
  const Sequence& s = *running_[index];
  const auto end = static_cast<ptrdiff_t>(s.computed) + kBlock;
  if (s.computed % kBlock != 0) return false;
  if (end > static_cast<ptrdiff_t>(cacheable(s.job.request, s.tokens.size(), s.scores()))) return false;
  for (size_t i = 0; i < index; ++i) {
    const Sequence& earlier = *running_[i];
    if (earlier.computed < end && earlier.certain() >= end &&
        earlier.job.request.cache_salt == s.job.request.cache_salt &&
        std::equal(s.tokens.begin(), s.tokens.begin() + end, earlier.tokens.begin())) {
      return true;
    }
  }
  return false;
}

int Scheduler::prompt_budget(int decoded) const {
  const int room = options_.max_batch_tokens - decoded;
  if (decoded == 0) {
    if (ns_per_token_ == 0) return room;
    const double fits = std::min(kLongestPassMs * 1e6 / ns_per_token_, 1e6);
    return std::min(room, std::max(kSmallestPass, static_cast<int>(fits)));
  }
  int chunk = kFirstChunk;
  if (ns_per_token_ > 0) {
    const double fits = options_.itl_target_ms * 1e6 / ns_per_token_;
    chunk = std::max(kSmallestChunk, static_cast<int>(std::min(fits, 1e6)) - decoded);
  }
  return std::min(chunk, room);
}

// The next token of everyone who decodes, and guesses behind it. Returns their number.
int Scheduler::plan_decodes() {
  decoding_.clear();
  for (size_t i = 0; i < running_.size(); ++i) {  // which make_room() shortens from its end
    if (!running_[i]->decoding()) continue;
    if (!make_room(i, 1)) break;
    decoding_.push_back(running_[i].get());
  }
  int room = options_.max_batch_tokens - static_cast<int>(decoding_.size());
  const bool beside_prompt = decoding_.size() < running_.size();
  if (beside_prompt) room -= kSmallestChunk;
  speculator_.choose(decoding_, std::max(0, room), beside_prompt);
  for (Sequence* s : decoding_) {
    add_guesses(*s);
    add_share(*s, 1 + s->draft.verify);
  }
  return static_cast<int>(tokens_.size());
}

// Puts the chosen guesses behind the tokens; fewer when they would need a block that is not there to be had.
void Scheduler::add_guesses(Sequence& s) {
  int verify = std::exchange(s.draft.verify, 0);
  const auto promised = static_cast<int>(s.blocks.size()) + s.reserved_blocks;
  const int missing = blocks_of(s.computed + 1 + verify) - promised;
  if (missing > 0 && missing > cache_.available() - reserved_) {
    verify = promised * kBlock - s.computed - 1;
  } else if (missing > 0) {
    s.reserved_blocks += missing;
    reserved_ += missing;
  }
  const auto& guess = s.draft.guess;
  s.tokens.insert(s.tokens.end(), guess.begin(), guess.begin() + verify);
  s.draft.verify = verify;
}

void Scheduler::drop_guesses(Sequence& s) {
  s.tokens.resize(static_cast<size_t>(s.certain()));
  s.draft.verify = 0;
}

void Scheduler::plan() {
  shares_.clear();
  rows_.clear();
  tokens_.clear();
  tables_.clear();
  logit_rows_.clear();
  decoded_ = plan_decodes();
  int budget = prompt_budget(decoded_);
  int scored = kScoredRows;
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    Sequence& s = *running_[i];
    if (s.decoding()) continue;
    take_known_blocks(s);
    if (waits_for_earlier(i)) continue;
    copy_known_part(s);
    int count = std::min(budget, s.pending());
    if (s.scores()) {
      const int unscored = std::max(0, s.job.request.logprobs_from - 1 - s.computed);  // these give no rows
      count = std::min(count, unscored + scored);
      scored -= std::max(0, count - unscored);
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
  s.draft.miss = INT_MAX;
  for (int p = s.computed; p < end; ++p) {
    const bool next_known = p + 1 < s.certain();
    const bool draw = !next_known && s.max_tokens > 0;
    if (draw || (next_known && s.scores() && p + 1 >= s.job.request.logprobs_from)) {
      logit_rows_.push_back(static_cast<int32_t>(tokens_.size()));
      rows_.push_back({&s, p, draw, true, {}});
    }
    tokens_.push_back({s.tokens[static_cast<size_t>(p)], p, index});
  }
  if (!s.decoding()) counters_.prompt_tokens += static_cast<uint64_t>(count);
}

// False when the pass was left off.
bool Scheduler::run_model(const std::function<bool()>& between) {
  logits_.resize(std::max(logits_.size(), rows_.size() * static_cast<size_t>(vocab_)));
  bool left_off = false;
  model::Batch batch{tokens_, tables_, logit_rows_};
  batch.abandon = [&] { return left_off = abandons_pass(between); };
  parts_.model->forward(batch, parts_.kv->base(), logits_.data(), *parts_.pool);
  return !left_off;
}

void Scheduler::read_row(Row& row, float* logits, RowScratch& scratch) const {
  Sequence& s = *row.sequence;
  if (!row.draw) {
    const int32_t next = s.tokens[static_cast<size_t>(row.position) + 1];
    row.event.id = next;
    const float logprob = logits[next] - parts_.log_sum_exp(logits, vocab_);
    row.finite = std::isfinite(logprob);
    row.event.logprob = std::min(0.0F, logprob);
    return;
  }
  if (row.position > s.draft.miss) return;
  const Request& request = s.job.request;
  const auto history = std::span<const int32_t>(s.tokens).first(static_cast<size_t>(row.position) + 1);
  read_signals(logits, vocab_, request.top_logprobs, parts_.log_sum_exp, &scratch.signals);
  row.finite = scratch.signals.finite;
  if (!row.finite) return;
  const int32_t id = sample(logits, vocab_, history, s.prompt_tokens, request.sampling, &scratch.sampler);
  row.event = token_event(scratch.signals, logits, id, request.top_logprobs);
  if (history.size() < s.tokens.size() && id != s.tokens[history.size()]) {
    int miss = s.draft.miss;
    while (row.position < miss && !s.draft.miss.compare_exchange_weak(miss, row.position)) {
    }
  }
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
    const size_t first = row;
    while (row < rows_.size() && rows_[row].sequence == &s) ++row;
    const auto rows = std::span(rows_).subspan(first, row - first);
    if (s.ended) continue;  // cancelled meanwhile
    if (s.decoding()) {
      report_draws(s, rows);
    } else {
      report_prompt(s, share.count, rows);
    }
  }
  remove_ended();
}

void Scheduler::report_prompt(Sequence& s, int count, std::span<Row> rows) {
  s.computed += count;
  if (options_.prefix_cache) index_full_blocks(s);
  if (const auto bad = std::ranges::find_if(rows, [](const Row& r) { return !r.finite; }); bad != rows.end()) {
    fail(s, not_finite(bad->position));
    return;
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

// Row by row what as many passes without guesses would have done, up to the first guess that was wrong.
void Scheduler::report_draws(Sequence& s, std::span<Row> rows) {
  const auto verify = static_cast<size_t>(s.draft.verify);
  const std::span<const int32_t> guess(s.draft.guess);
  drop_guesses(s);
  s.drafted_tokens += static_cast<int>(verify);
  counters_.drafted_tokens += verify;
  drawn_.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    ++s.computed;
    if (options_.prefix_cache) index_full_blocks(s);
    if (!rows[i].finite) {
      fail(s, not_finite(rows[i].position));
      return;
    }
    drawn_.push_back(rows[i].event.id);
    const bool right = i < verify && drawn_.back() == guess[i];
    if (right) ++s.accepted_tokens, ++counters_.accepted_tokens;
    report_token(s, std::move(rows[i].event));
    if (right && !s.ended && s.job.cancel.cancelled()) finish(s, FinishReason::kCancelled);
    if (s.ended) return;
    if (!right) break;
  }
  speculator_.learn(s, drawn_);
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
  FinishEvent event{reason, s.prompt_tokens,  s.cached_tokens,  s.output_tokens(),
                    {},     s.drafted_tokens, s.accepted_tokens};
  event.timings.queue_ms = ms(s.admitted_ns - s.job.submitted_ns);
  event.timings.prompt_ms = ms((s.prompt_reported ? s.prompt_done_ns : now) - s.admitted_ns);
  event.timings.generate_ms = s.prompt_reported ? ms(now - s.prompt_done_ns) : 0;
  s.job.sink(event);
}

void Scheduler::fail(Sequence& s, base::Error error) {
  s.ended = true;
  s.job.sink(std::move(error));
}

void Scheduler::give_back_blocks(Sequence& s) {
  speculator_.forget(s);
  index_last_part(s);
  for (auto it = s.blocks.rbegin(); it != s.blocks.rend(); ++it) cache_.release(*it);  // ends first: see kv_cache.h
  s.blocks.clear();
  reserved_ -= s.reserved_blocks;
  s.reserved_blocks = 0;
}

// Only here, between passes, ended requests lose their blocks: a pass may still be writing to them when they end.
void Scheduler::remove_ended() {
  for (auto& s : running_) {
    if (s->ended) give_back_blocks(*s);
  }
  std::erase_if(running_, [](const auto& s) { return s->ended; });
  std::erase_if(aside_, [](const auto& s) { return s->ended; });
}

SchedulerCounters Scheduler::counters() const {
  SchedulerCounters c = counters_;
  c.running = static_cast<int>(running_.size());
  c.set_aside = static_cast<int>(aside_.size());
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
  const bool bare = std::ranges::all_of(aside_, [](const auto& s) {
    return s->blocks.empty() && s->reserved_blocks == 0 && s->computed == 0 && !s->ended;
  });
  return bare && reserved == reserved_ && reserved_ <= cache_.available() && cache_.consistent();
}

}  // namespace concerto::engine
