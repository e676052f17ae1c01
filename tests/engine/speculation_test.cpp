// Speculation changes nothing but the number of passes: every event of every request, byte for byte.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>

#include "engine/draft_vocabulary.h"
#include "engine/scheduler.h"
#include "reference.h"

namespace concerto::engine {
namespace {

constexpr int kVocab = 47;
constexpr int kContext = 500;

// Logits that depend on the last token alone for most of the histories: answers that repeat themselves and their
// prompts, as edited code does, and now and then depart from that.
void repeat_mostly(const std::vector<int32_t>& history, float* logits) {
  const uint64_t whole = history_hash(history.data(), history.size());
  const size_t recent = whole % 16 == 0 ? history.size() : 1;
  scripted_logits(history_hash(history.data() + (history.size() - recent), recent), kVocab, logits);
  for (int v = 0; v < kVocab; ++v) logits[v] *= 2;
}

SchedulerOptions defaults() {
  SchedulerOptions options;
  options.context = kContext;
  options.itl_target_ms = 60'000;  // the fake passes take a second or more
  return options;
}

enum class Mind { kNone, kSame, kOther };  // of the draft model, compared with the target's

struct Rig {
  Rig(const SchedulerOptions& options, int blocks, int threads, int64_t pass_ms, int64_t token_ms,
      Mind mind = Mind::kNone, int draft_blocks = 60)
      : pool(threads), kv(std::move(*KvPool::create(model.kv_layout(), blocks))) {
    model.change_logits = repeat_mostly;
    model.on_forward = [this, pass_ms, token_ms](const model::Batch& batch) {
      // Of the passes without prompt tokens.
      if (batch.logit_rows.size() == batch.tokens.size()) most_rows = std::max(most_rows, batch.tokens.size());
      clock.advance_ms(pass_ms + token_ms * std::ssize(batch.tokens));
    };
    SchedulerParts parts;
    parts.model = &model;
    parts.tokenizer = &tokenizer;
    parts.pool = &pool;
    parts.kv = kv.get();
    parts.log_sum_exp = reference_log_sum_exp;
    parts.clock = &clock;
    if (mind != Mind::kNone) {
      draft_kv = std::move(*KvPool::create(draft_model.kv_layout(), draft_blocks));
      draft_model.change_logits = repeat_mostly;
      if (mind == Mind::kOther) {
        draft_model.change_logits = [](const std::vector<int32_t>& history, float* logits) {
          scripted_logits(history_hash(history.data(), history.size()) + 1, kVocab, logits);
        };
      }
      draft_model.on_forward = [this, pass_ms](const model::Batch& batch) {
        draft_tokens += batch.tokens.size();
        clock.advance_ms(pass_ms / 10);
      };
      draft = std::make_unique<DraftModel>(
          DraftModelParts{&draft_model, &pool, draft_kv.get(), reference_log_sum_exp, &clock, kVocab, 0.1});
      parts.draft = draft.get();
    }
    scheduler = std::make_unique<Scheduler>(parts, options);
  }
  ScriptedModel model{kVocab, kContext};
  NumberTokenizer tokenizer{kVocab};
  base::ThreadPool pool;
  base::FakeClock clock;
  std::unique_ptr<KvPool> kv;
  ScriptedModel draft_model{kVocab, kContext};
  std::unique_ptr<KvPool> draft_kv;
  std::unique_ptr<DraftModel> draft;
  size_t draft_tokens = 0;
  size_t most_rows = 0;
  std::unique_ptr<Scheduler> scheduler;
};

// A client that writes down all it hears, and may cancel on hearing a certain token.
struct Client {
  Request request;
  base::CancelToken cancel;
  int cancel_at_token = -1;  // the same wherever it runs
  int cancel_at_step = -1;   // at another point of the answer in each run
  std::string heard;
  std::vector<int32_t> tokens;
  bool ended = false;
  FinishEvent finish;

  template <class T>
  void write(const T& value) {
    heard.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  Sink sink() {
    return [this](Event&& event) {
      EXPECT_FALSE(ended);
      if (const auto* p = std::get_if<PromptEvent>(&event)) {
        for (const float logprob : p->logprobs) write(logprob);
      } else if (const auto* t = std::get_if<TokenEvent>(&event)) {
        tokens.push_back(t->id);
        write(t->id), write(t->logprob), write(t->margin), write(t->entropy);
        for (const TopLogprob& top : t->top) write(top.id), write(top.logprob);
        if (std::ssize(tokens) == cancel_at_token) cancel.cancel();
      } else if (const auto* f = std::get_if<FinishEvent>(&event)) {
        ended = true;
        finish = *f;
        write(f->reason), write(f->prompt_tokens), write(f->completion_tokens);
      } else {
        ended = true;
        heard += std::get<base::Error>(event).message;
      }
    };
  }
};

Request random_request(std::mt19937& rng) {
  Request r;
  // A few words, said again and again.
  std::vector<std::vector<int32_t>> words(1 + rng() % 4);
  for (auto& word : words) {
    for (uint64_t i = 0; i < 1 + rng() % 12; ++i) word.push_back(static_cast<int32_t>(rng() % (kVocab - 1)));
  }
  const size_t length = 1 + rng() % 250;
  while (r.prompt.size() < length) {
    const auto& word = words[rng() % words.size()];
    r.prompt.insert(r.prompt.end(), word.begin(), word.end());
  }
  r.prompt.resize(length);
  r.max_tokens = static_cast<int>(rng() % 150);
  if (rng() % 4 == 0) r.max_tokens = static_cast<int>(rng() % 4);
  SamplingParams& p = r.sampling;
  p.temperature = rng() % 2 == 0 ? 0.0F : 0.3F + static_cast<float>(rng() % 10) / 10;
  p.seed = rng() % 4;
  p.choice = rng() % 3;
  if (rng() % 3 == 0) p.top_p = 0.8F;
  if (rng() % 3 == 0) p.top_k = 1 + static_cast<int>(rng() % 20);
  if (rng() % 4 == 0) p.min_p = 0.1F;
  if (rng() % 3 == 0) p.repeat_penalty = 1.15F;
  if (rng() % 3 == 0) p.repeat_last_n = static_cast<int>(rng() % 30) - 1;
  if (rng() % 4 == 0) p.presence_penalty = 0.5F;
  if (rng() % 4 == 0) p.frequency_penalty = 0.2F;
  if (rng() % 4 == 0) p.logit_bias = {{static_cast<int32_t>(rng() % kVocab), 3.0F}, {5, -100.0F}};
  r.ignore_end = rng() % 2 == 0;
  r.top_logprobs = rng() % 3 == 0 ? 4 : 0;
  r.prompt_logprobs = rng() % 6 == 0;
  r.cache_salt = rng() % 4 == 0 ? "b" : "a";
  return r;
}

std::vector<Client> random_clients(uint32_t seed, int blocks) {
  std::mt19937 rng(seed);
  std::vector<Client> clients;
  while (clients.size() < 80) {
    Client c;
    c.request = random_request(rng);
    if (Scheduler::blocks_for(static_cast<int>(c.request.prompt.size()), c.request.max_tokens) > blocks) continue;
    if (rng() % 5 == 0) c.cancel_at_token = 1 + static_cast<int>(rng() % 60);
    clients.push_back(std::move(c));
  }
  return clients;
}

struct Setting {
  Speculation speculation;
  int blocks;
  int batch;
  int running;
  bool cache;
  int threads;
  int64_t token_ms;  // beside a pass of a second
  uint64_t least_accepted = 0;
  Mind mind = Mind::kNone;
  int draft_blocks = 60;
};

// All clients, with arrivals and outer cancels at random steps.
SchedulerCounters run(std::vector<Client>* clients, const Setting& setting, uint32_t seed, size_t* most_rows) {
  SchedulerOptions options = defaults();
  options.max_batch_tokens = setting.batch;
  options.max_running = setting.running;
  options.prefix_cache = setting.cache;
  options.speculation = setting.speculation;
  Rig rig(options, setting.blocks, setting.threads, 1000, setting.token_ms, setting.mind, setting.draft_blocks);
  std::mt19937 rng(seed);
  size_t next = 0;
  for (int step = 0; step < 100'000; ++step) {
    if (next < clients->size() && rng() % 2 == 0) {
      Client& c = (*clients)[next];
      Job job{c.request, c.sink(), c.cancel, 0};
      if (rig.scheduler->admits(job)) {
        rig.scheduler->start(std::move(job));
        ++next;
      }
    }
    for (Client& c : *clients) {
      if (c.cancel_at_step == step) c.cancel.cancel();
    }
    if (!rig.scheduler->step() && next == clients->size()) break;
    EXPECT_TRUE(rig.scheduler->consistent()) << "after step " << step;
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_EQ(rig.scheduler->cache().available(), setting.blocks);
  if (rig.draft) {
    EXPECT_EQ(rig.draft->blocks_free(), setting.draft_blocks);
  }
  *most_rows = rig.most_rows;
  return rig.scheduler->counters();
}

class SpeculationProperty : public testing::TestWithParam<Setting> {};

TEST_P(SpeculationProperty, SameEventsAsWithout) {
  const Setting setting = GetParam();
  for (uint32_t seed = 1; seed <= 2; ++seed) {
    std::vector<Client> plain = random_clients(seed, setting.blocks);
    std::vector<Client> fast = plain;
    for (Client& c : fast) c.cancel = {};
    size_t rows = 0;
    const Setting alone{Speculation::kOff, 40, 256, 1, false, 1, 10};
    const SchedulerCounters without = run(&plain, alone, 1, &rows);
    EXPECT_EQ(without.drafted_tokens, 0U);
    const SchedulerCounters with = run(&fast, setting, seed, &rows);
    for (size_t i = 0; i < plain.size(); ++i) {
      ASSERT_TRUE(fast[i].ended);
      ASSERT_EQ(fast[i].tokens, plain[i].tokens) << "request " << i;
      ASSERT_EQ(fast[i].heard, plain[i].heard) << "request " << i;
      ASSERT_LE(fast[i].finish.accepted_tokens, fast[i].finish.drafted_tokens);
      ASSERT_LE(fast[i].finish.accepted_tokens, std::max(0, fast[i].finish.completion_tokens));
    }
    EXPECT_EQ(with.completion_tokens, without.completion_tokens);
    EXPECT_GE(with.accepted_tokens, setting.least_accepted);
  }
}

// With a draft model: of the same mind, of another, and with room for no more than two short sequences.
INSTANTIATE_TEST_SUITE_P(DraftModels, SpeculationProperty,
                         testing::Values(Setting{Speculation::kAuto, 40, 256, 1, true, 1, 10, 2000, Mind::kSame},
                                         Setting{Speculation::kAuto, 12, 64, 4, true, 2, 10, 1000, Mind::kSame, 5},
                                         Setting{Speculation::kAuto, 100, 256, 8, true, 2, 10, 100, Mind::kSame},
                                         Setting{Speculation::kAuto, 40, 256, 3, false, 1, 10, 100, Mind::kOther},
                                         Setting{Speculation::kLookup, 40, 256, 2, true, 1, 10, 100, Mind::kSame}));

// The time a token adds decides how many guesses are worth it: 10 ms in a pass of a second, then 200 ms, then a second.
INSTANTIATE_TEST_SUITE_P(Pools, SpeculationProperty,
                         testing::Values(Setting{Speculation::kLookup, 40, 256, 1, true, 1, 10, 300},
                                         Setting{Speculation::kAuto, 40, 256, 3, true, 2, 10, 300},
                                         Setting{Speculation::kLookup, 12, 64, 8, true, 2, 10, 300},
                                         Setting{Speculation::kLookup, 8, 20, 4, true, 1, 10, 100},
                                         Setting{Speculation::kLookup, 12, 64, 8, false, 2, 200, 200},
                                         Setting{Speculation::kLookup, 40, 9, 8, true, 1, 10},
                                         Setting{Speculation::kLookup, 8, 8, 8, true, 1, 1000},
                                         Setting{Speculation::kLookup, 100, 256, 16, true, 2, 10}));

// Cancelled from outside, at whatever point of the answer: what was heard is the beginning of the whole answer.
TEST(Speculation, ACancelledAnswerIsTheBeginningOfTheWhole) {
  std::vector<Client> plain = random_clients(7, 12);
  for (Client& c : plain) c.cancel_at_token = -1;
  std::vector<Client> fast = plain;
  std::mt19937 rng(3);
  for (Client& c : fast) {
    c.cancel = {};
    c.cancel_at_step = 1 + static_cast<int>(rng() % 1500);
  }
  size_t rows = 0;
  run(&plain, {Speculation::kOff, 12, 256, 1, false, 1, 10}, 1, &rows);
  run(&fast, {Speculation::kLookup, 12, 64, 8, true, 2, 10}, 2, &rows);
  int cancelled = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    if (fast[i].finish.reason == FinishReason::kCancelled) ++cancelled;
    ASSERT_LE(fast[i].tokens.size(), plain[i].tokens.size());
    ASSERT_TRUE(std::equal(fast[i].tokens.begin(), fast[i].tokens.end(), plain[i].tokens.begin()));
    ASSERT_EQ(fast[i].finish.completion_tokens, std::ssize(fast[i].tokens));
  }
  EXPECT_GT(cancelled, 10);
}

Client ask(Rig* rig, const Request& request) {
  Client client;
  client.request = request;
  rig->scheduler->start({client.request, client.sink(), {}, 0});
  while (rig->scheduler->step()) {
  }
  return client;
}

Request copying_request(int max_tokens) {
  Request r;
  for (int i = 0; i < 80; ++i) r.prompt.push_back(i % 40);
  r.max_tokens = max_tokens;
  r.sampling.temperature = 0;
  r.ignore_end = true;
  return r;
}

// The best token is the one that followed the last one in the prompt of copying_request().
void copy(const std::vector<int32_t>& history, float* logits) { logits[(history.back() + 1) % 40] = 100; }

TEST(Speculation, ACopyTakesAnEighthOfThePasses) {
  SchedulerOptions options = defaults();
  Rig rig(options, 60, 1, 1000, 10);
  rig.model.change_logits = copy;
  const Client client = ask(&rig, copying_request(200));
  EXPECT_EQ(client.tokens.size(), 200U);
  const SchedulerCounters c = rig.scheduler->counters();
  EXPECT_LE(c.passes, 200 / 8 + 4);
  EXPECT_EQ(c.accepted_tokens, c.drafted_tokens);
  EXPECT_EQ(client.finish.drafted_tokens, static_cast<int>(c.drafted_tokens));
  EXPECT_LE(rig.most_rows, 8U);
}

// Where a token costs as much as a pass, guesses gain nothing: they end as soon as that is known.
TEST(Speculation, EndsWhereItDoesNotPay) {
  SchedulerOptions options = defaults();
  Rig rig(options, 60, 1, 0, 1000);
  rig.model.change_logits = copy;
  const Client client = ask(&rig, copying_request(300));
  EXPECT_EQ(client.tokens.size(), 300U);
  EXPECT_LE(rig.scheduler->counters().drafted_tokens, 100U);
}

// An answer that does what it did before for some tokens only: the guesses beyond them are soon left out.
TEST(Speculation, PaysWhereSomeGuessesAreWrong) {
  SchedulerOptions options = defaults();
  Rig rig(options, 60, 1, 1000, 40);
  // 0 1 2 3 4, then anything but what followed that last time.
  rig.model.change_logits = [](const std::vector<int32_t>& history, float* logits) {
    const size_t at = history.size();
    logits[at % 6 != 0 ? at % 6 - 1 : 6 + scripted_mix(at) % 38] = 100;
  };
  Request r = copying_request(300);
  r.prompt = {1};
  const Client client = ask(&rig, r);
  EXPECT_EQ(client.tokens.size(), 300U);
  const SchedulerCounters c = rig.scheduler->counters();
  // What follows the five can't be guessed; that they do can, once three of them were seen.
  EXPECT_LT(c.drafted_tokens - c.accepted_tokens, 100U);
  EXPECT_GT(c.accepted_tokens, 60U);
  EXPECT_LT(rig.clock.now_ns(), int64_t{300} * 1'040 * 1'000'000 * 3 / 4);
}

// Guesses take no more than a cheap pass holds, however many decode.
TEST(Speculation, SharesTheCheapRows) {
  for (int streams = 1; streams <= 10; ++streams) {
    SchedulerOptions options = defaults();
    Rig rig(options, 60, 1, 1000, 10);
    rig.model.change_logits = copy;
    std::vector<Client> clients(static_cast<size_t>(streams));
    for (Client& c : clients) {
      c.request = copying_request(60);
      rig.scheduler->start({c.request, c.sink(), {}, 0});
    }
    while (rig.scheduler->step()) {
    }
    EXPECT_LE(rig.most_rows, std::max(8U, static_cast<unsigned>(streams)));
    if (streams < 8) {
      EXPECT_GT(rig.scheduler->counters().drafted_tokens, 0U);
    }
    for (const Client& c : clients) EXPECT_EQ(c.tokens, clients[0].tokens);
  }
}

// Text that goes on without repeating itself keeps the speed it had: no guesses, no wider passes.
TEST(Speculation, NothingIsGuessedWithoutRepetition) {
  SchedulerOptions options = defaults();
  Rig rig(options, 60, 1, 1000, 40);
  rig.model.change_logits = nullptr;  // all of the history decides
  Request r = copying_request(400);
  r.prompt = {1, 2, 3};
  r.sampling.temperature = 1;
  const Client client = ask(&rig, r);
  EXPECT_EQ(client.tokens.size(), 400U);
  EXPECT_LE(rig.scheduler->counters().drafted_tokens, 40U);
}

Request storytelling_request() {
  Request r;
  for (int i = 0; i < 150; ++i) r.prompt.push_back(static_cast<int32_t>(scripted_mix(static_cast<uint64_t>(i)) % 40));
  r.max_tokens = 300;
  r.sampling.temperature = 1;
  r.sampling.top_p = 0.95F;
  r.sampling.seed = 5;
  r.sampling.repeat_penalty = 1.1F;
  r.sampling.logit_bias = {{3, 1.0F}};
  r.ignore_end = true;
  return r;
}

// It draws by the same numbers: where it thinks what the target thinks it says what the target says, with penalties,
// biases and chance. A block of K and V that it did not keep right would show here.
TEST(DraftModel, OfTheSameMindIsAlwaysRight) {
  Rig rig(defaults(), 60, 1, 1000, 10, Mind::kSame);
  rig.model.change_logits = nullptr;
  rig.draft_model.change_logits = nullptr;
  const Client client = ask(&rig, storytelling_request());
  EXPECT_EQ(client.tokens.size(), 300U);
  const SchedulerCounters c = rig.scheduler->counters();
  EXPECT_EQ(c.accepted_tokens, c.drafted_tokens);
  EXPECT_LT(c.passes, 300 / 3);
  // Each token is computed once by the draft model, but for the last guess of a pass.
  EXPECT_LT(rig.draft_tokens, 150U + 300U + c.passes);
  EXPECT_EQ(rig.draft->blocks_free(), 60);
}

TEST(DraftModel, IsGivenUpWhenItIsWrong) {
  Rig rig(defaults(), 60, 1, 1000, 10, Mind::kOther);
  rig.model.change_logits = nullptr;
  const Client client = ask(&rig, storytelling_request());
  EXPECT_EQ(client.tokens.size(), 300U);
  EXPECT_LT(rig.draft_tokens, 150U + 300U + 80U);
  // The whole answer takes little longer than it does alone.
  EXPECT_LT(rig.clock.now_ns() / 1'000'000, 300 * 1010 * 11 / 10 + 10'000);
}

TEST(DraftModel, IsNotAskedWhereItTakesTooLong) {
  Rig rig(defaults(), 60, 1, 1000, 10, Mind::kSame);
  rig.model.change_logits = nullptr;
  rig.draft_model.change_logits = nullptr;
  rig.draft_model.on_forward = [&](const model::Batch& batch) {
    rig.draft_tokens += batch.tokens.size();
    rig.clock.advance_ms(1500);  // longer than the target itself
  };
  ask(&rig, storytelling_request());
  // Each token at most once, and most of them in passes of many.
  EXPECT_LT(rig.clock.now_ns() / 1'000'000, 300 * 1010 * 5 / 4);
}

class Words final : public text::Tokenizer {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {}
  [[nodiscard]] std::vector<int32_t> encode(std::string_view, bool) const override { return {}; }
  [[nodiscard]] std::string_view token_bytes(int32_t id) const override { return words_[static_cast<size_t>(id)]; }
  [[nodiscard]] int vocab_size() const override { return static_cast<int>(words_.size()); }
  [[nodiscard]] bool is_special(int32_t) const override { return false; }
  [[nodiscard]] bool is_end(int32_t) const override { return false; }
  [[nodiscard]] int32_t bos() const override { return -1; }
  [[nodiscard]] int32_t eos() const override { return -1; }
  [[nodiscard]] bool adds_bos() const override { return false; }
  [[nodiscard]] int32_t find(std::string_view) const override { return -1; }

 private:
  std::vector<std::string> words_;
};

TEST(DraftVocabulary, MustMeanTheSame) {
  const Words target({"a", "b", "c"});
  EXPECT_TRUE(same_vocabulary(target, "big", Words({"a", "b", "c"}), "small"));
  EXPECT_TRUE(same_vocabulary(target, "big", Words({"a", "b", "c", "[PAD3]"}), "small"));
  const auto other = same_vocabulary(target, "big", Words({"a", "x", "c"}), "small");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().param, "draft");
  EXPECT_EQ(
      other.error().message,
      "draft small: expected the vocabulary of big, found token 1 as 'x' instead of 'b': a draft model must be of "
      "the same family as the model it guesses for");
  EXPECT_FALSE(same_vocabulary(target, "big", Words(std::vector<std::string>(2000, "a")), "small"));
}

TEST(SuffixIndex, FindsTheLongestThenTheLatest) {
  SuffixIndex index;
  const std::vector<int32_t> tokens = {9, 1, 2, 3, 7, 1, 2, 3, 8, 0, 9, 1, 2, 3};
  const auto find = [&](size_t count) {
    index.extend(std::span(tokens).first(count));
    return index.find(std::span(tokens).first(count));
  };
  EXPECT_EQ(find(3).next, -1);
  EXPECT_EQ(find(7).next, -1);
  EXPECT_EQ(find(8).next, 4);
  EXPECT_EQ(find(8).length, 3);
  EXPECT_EQ(find(14).next, 4);  // 9 1 2 3 goes before the later 1 2 3
  EXPECT_EQ(find(14).length, 4);
}

TEST(SuffixIndex, AgreesWithASearchOfEverything) {
  std::mt19937 rng(5);
  for (int round = 0; round < 20; ++round) {
    const auto letters = 2 + rng() % 30;
    SuffixIndex index;
    std::vector<int32_t> tokens;
    while (tokens.size() < 700) {
      tokens.push_back(static_cast<int32_t>(rng() % letters * 1000003));
      index.extend(tokens);
      const auto found = index.find(tokens);
      int longest = 0;
      const auto size = static_cast<int>(tokens.size());
      for (int next = 1; next < size; ++next) longest = std::max(longest, SuffixIndex::agreement(tokens, next));
      if (found.next >= 0) {
        ASSERT_GE(found.length, SuffixIndex::kGram);
        ASSERT_EQ(found.length, SuffixIndex::agreement(tokens, found.next));
      }
      // A common gram has more occurrences than are looked at.
      if (letters > 12) {
        ASSERT_EQ(found.length, longest >= SuffixIndex::kGram ? longest : 0);
      }
    }
  }
}

TEST(LookupDrafter, ComesBackToASourceItDepartedFrom) {
  LookupDrafter drafter;
  std::vector<int32_t> tokens(60);
  std::iota(tokens.begin(), tokens.end(), 0);
  const auto say = [&](const std::vector<int32_t>& said) {
    drafter.propose(tokens, 7);
    drafter.learn(said);
    tokens.insert(tokens.end(), said.begin(), said.end());
  };
  say({10});
  say({11});
  say({12});
  drafter.propose(tokens, 3);
  EXPECT_EQ(drafter.guess(), (std::vector<int32_t>{13, 14, 15}));
  say({13, 14, 99});
  // 99 stands in for 15.
  drafter.propose(tokens, 2);
  EXPECT_EQ(drafter.guess(), (std::vector<int32_t>{16, 17}));
  say({98});
  say({17});
  // Two tokens for two, then on.
  drafter.propose(tokens, 2);
  EXPECT_EQ(drafter.guess(), (std::vector<int32_t>{18, 19}));
  say({18, 19, 23});
  // A part left out.
  drafter.propose(tokens, 2);
  EXPECT_EQ(drafter.guess(), (std::vector<int32_t>{24, 25}));
}

TEST(PassCost, FindsTheLineBehindTheTimes) {
  PassCost cost;
  std::mt19937 rng(2);
  for (int i = 0; i < 200; ++i) {
    const int tokens = 1 + static_cast<int>(rng() % 8);
    cost.add(tokens, 30'000'000 + 1'500'000 * (tokens - 1) + static_cast<int64_t>(rng() % 1'000'000));
  }
  EXPECT_NEAR(cost.per_token(), 0.05, 0.01);
  EXPECT_NEAR(cost.one_ns(), 30.5e6, 1e6);
  // A machine that became slower is believed soon.
  for (int i = 0; i < 100; ++i) cost.add(1 + i % 8, 30'000'000 + 15'000'000 * (i % 8));
  EXPECT_NEAR(cost.per_token(), 0.5, 0.1);
}

}  // namespace
}  // namespace concerto::engine
