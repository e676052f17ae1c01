// The property test: random arrivals, cancels (also within a pass), passes that are left off, prompts that share
// prefixes, and pools so small that blocks are evicted and requests set aside all the time, stepped one pass at a time
// with every invariant counted after each.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

#include "reference.h"

namespace concerto::engine {
namespace {

constexpr int kVocab = 61;
constexpr int kContext = 400;

struct Rig {
  explicit Rig(const SchedulerOptions& options, int blocks, int threads = 1)
      : pool(threads), kv(std::move(*KvPool::create(model.kv_layout(), blocks))) {
    SchedulerParts parts;
    parts.model = &model;
    parts.tokenizer = &tokenizer;
    parts.pool = &pool;
    parts.kv = kv.get();
    parts.log_sum_exp = reference_log_sum_exp;
    parts.clock = &clock;
    scheduler = std::make_unique<Scheduler>(parts, options);
  }
  ScriptedModel model{kVocab, kContext};
  NumberTokenizer tokenizer{kVocab};
  base::ThreadPool pool;
  base::FakeClock clock;
  std::unique_ptr<KvPool> kv;
  std::unique_ptr<Scheduler> scheduler;
};

struct Heard {
  bool prompt = false;
  int cached = 0;
  std::vector<float> prompt_logprobs;
  std::vector<int32_t> tokens;
  int ends = 0;
  bool after_end = false;
  FinishEvent finish;
  bool error = false;
};

Sink listen(Heard* heard) {
  return [heard](Event&& event) {
    if (heard->ends > 0) heard->after_end = true;
    if (auto* p = std::get_if<PromptEvent>(&event)) {
      EXPECT_FALSE(heard->prompt);
      heard->prompt = true;
      heard->cached = p->cached_tokens;
      heard->prompt_logprobs = std::move(p->logprobs);
    } else if (auto* t = std::get_if<TokenEvent>(&event)) {
      EXPECT_TRUE(heard->prompt);
      heard->tokens.push_back(t->id);
    } else if (auto* f = std::get_if<FinishEvent>(&event)) {
      ++heard->ends;
      heard->finish = *f;
    } else {
      ++heard->ends;
      heard->error = true;
    }
  };
}

Request random_request(std::mt19937& rng) {
  Request r;
  // A few stems, cut anywhere and continued at random: prefixes shared in whole blocks, in parts, and not at all.
  const auto stem = rng() % 3;
  const int length = 1 + static_cast<int>(rng() % 300);
  const int shared = static_cast<int>(rng() % 301);
  for (int i = 0; i < length; ++i) {
    const uint64_t v = i < shared ? scripted_mix(stem * 1000 + static_cast<uint64_t>(i)) : rng();
    r.prompt.push_back(static_cast<int32_t>(v % kVocab));
  }
  r.max_tokens = static_cast<int>(rng() % static_cast<unsigned>(std::min(90, kContext - length)));
  if (rng() % 3 == 0) r.max_tokens = std::min(r.max_tokens, 3);
  if (rng() % 6 == 0) r.max_tokens = kContext - length;
  r.sampling.temperature = rng() % 2 == 0 ? 0.0F : 1.0F;
  r.sampling.seed = rng() % 4;
  r.sampling.choice = rng() % 2;
  if (rng() % 4 == 0) r.sampling.top_p = 0.8F;
  if (rng() % 4 == 0) r.sampling.repeat_penalty = 1.2F;
  r.ignore_end = rng() % 2 == 0;
  r.prompt_logprobs = rng() % 5 == 0;
  if (r.prompt_logprobs && rng() % 2 == 0) r.logprobs_from = 1 + static_cast<int>(rng() % r.prompt.size());
  r.cache_salt = rng() % 4 == 0 ? "b" : "a";
  return r;
}

struct Client {
  Request request;
  base::CancelToken cancel;
  Heard heard;
  int cancel_at = -1;  // step
  int admitted_at = -1;
};

void check_answer(const Client& c) {
  ASSERT_EQ(c.heard.ends, 1);
  ASSERT_FALSE(c.heard.after_end);
  ASSERT_FALSE(c.heard.error);
  bool stopped = false;
  const auto expected = reference_answer(c.request, kVocab, c.request.max_tokens, &stopped);
  if (c.heard.finish.reason == FinishReason::kCancelled) {
    ASSERT_LE(c.heard.tokens.size(), expected.size());
    ASSERT_TRUE(std::equal(c.heard.tokens.begin(), c.heard.tokens.end(), expected.begin()));
    return;
  }
  ASSERT_EQ(c.heard.tokens, expected);
  ASSERT_EQ(c.heard.finish.reason, stopped ? FinishReason::kStop : FinishReason::kLength);
  ASSERT_EQ(c.heard.finish.completion_tokens, std::ssize(expected));
  ASSERT_EQ(c.heard.finish.prompt_tokens, std::ssize(c.request.prompt));
  ASSERT_LT(c.heard.cached, std::ssize(c.request.prompt));
  if (c.request.prompt_logprobs) {
    const auto from = static_cast<size_t>(c.request.logprobs_from);
    ASSERT_EQ(c.heard.prompt_logprobs.size() + from, c.request.prompt.size());
    std::vector<float> logits(kVocab);
    for (size_t i = from - 1; i + 1 < c.request.prompt.size(); ++i) {
      scripted_logits(history_hash(c.request.prompt.data(), i + 1), kVocab, logits.data());
      const float expected_logprob =
          logits[static_cast<size_t>(c.request.prompt[i + 1])] - reference_log_sum_exp(logits.data(), kVocab);
      ASSERT_EQ(c.heard.prompt_logprobs[i + 1 - from], std::min(0.0F, expected_logprob));
    }
  }
}

struct Setting {
  int blocks;
  int batch;
  int running;
  bool cache;
  int threads;
  uint32_t seed;
};

class Property : public testing::TestWithParam<Setting> {};

TEST_P(Property, EveryRequestEndsOnceWithItsOwnTokens) {
  const Setting setting = GetParam();
  SchedulerOptions options;
  options.context = kContext;
  options.max_batch_tokens = setting.batch;
  options.max_running = setting.running;
  options.prefix_cache = setting.cache;
  Rig rig(options, setting.blocks, setting.threads);
  std::mt19937 rng(setting.seed);
  std::vector<std::unique_ptr<Client>> clients;
  std::deque<Client*> waiting;
  constexpr int kArrivals = 250;
  int waited_steps = 0;
  int step = 0;
  for (; step < 200000; ++step) {
    if (std::ssize(clients) < kArrivals && waiting.size() < 8 && rng() % 3 == 0) {
      auto c = std::make_unique<Client>();
      c->request = random_request(rng);
      const int need = Scheduler::blocks_for(static_cast<int>(c->request.prompt.size()), c->request.max_tokens);
      if (need > setting.blocks) continue;  // submit() refuses these
      if (rng() % 6 == 0) c->cancel_at = step + static_cast<int>(rng() % 60);
      waiting.push_back(c.get());
      clients.push_back(std::move(c));
    }
    for (const auto& c : clients) {
      if (c->cancel_at == step) c->cancel.cancel();
    }
    while (!waiting.empty()) {
      Client* c = waiting.front();
      Job job{c->request, listen(&c->heard), c->cancel, 0};
      if (!rig.scheduler->admits(job)) break;
      rig.scheduler->start(std::move(job));
      c->admitted_at = step;
      waiting.pop_front();
      waited_steps = 0;
    }
    ASSERT_TRUE(rig.scheduler->consistent()) << "after admission in step " << step;
    const bool ran = rig.scheduler->step([&] {
      if (rng() % 40 == 0) {
        Client& unlucky = *clients[rng() % clients.size()];
        unlucky.cancel.cancel();
        if (unlucky.cancel_at < 0) unlucky.cancel_at = step;
      }
      return rng() % 30 == 0;
    });
    ASSERT_TRUE(rig.scheduler->consistent()) << "after step " << step;
    // The first in the queue gets in once the others end: the longest takes at most its tokens, one a pass, per runner.
    if (!waiting.empty()) {
      ASSERT_LT(++waited_steps, 10000);
    }
    if (!ran && waiting.empty() && std::ssize(clients) == kArrivals) break;
    for (const auto& c : clients) {
      // A cancel is honoured in the very next pass.
      if (c->cancel_at >= 0 && c->cancel_at <= step && c->admitted_at >= 0) {
        ASSERT_EQ(c->heard.ends, 1);
      }
    }
  }
  ASSERT_LT(step, 200000);
  for (const auto& c : clients) check_answer(*c);
  EXPECT_EQ(rig.scheduler->cache().available(), setting.blocks);
  EXPECT_EQ(rig.scheduler->counters().running, 0);
  EXPECT_EQ(rig.scheduler->counters().set_aside, 0);
  if (setting.blocks == 12) {
    EXPECT_GT(rig.scheduler->counters().preemptions, 0U);
  }
  if (!setting.cache) {
    EXPECT_EQ(rig.scheduler->counters().cached_tokens, 0U);
    EXPECT_EQ(rig.scheduler->cache().free(), setting.blocks);
  } else {
    EXPECT_GT(rig.scheduler->counters().cached_tokens, 64U);
  }
}

INSTANTIATE_TEST_SUITE_P(Pools, Property,
                         testing::Values(Setting{7, 32, 4, true, 1, 1}, Setting{7, 5, 4, true, 2, 2},
                                         Setting{12, 64, 8, true, 1, 3}, Setting{40, 100, 8, true, 2, 4},
                                         Setting{300, 256, 16, true, 1, 5}, Setting{12, 64, 8, false, 1, 6},
                                         Setting{9, 1, 1, true, 1, 7}, Setting{20, 16, 16, true, 1, 8},
                                         Setting{25, 300, 12, true, 2, 9}));

TEST(Scheduler, ReusesWhatAnEarlierRequestComputed) {
  SchedulerOptions options;
  options.context = kContext;
  Rig rig(options, 20);
  Request r;
  for (int i = 0; i < 200; ++i) r.prompt.push_back(i % 50);
  r.max_tokens = 2;
  r.sampling.temperature = 0;
  r.ignore_end = true;
  const auto ask = [&](const Request& request) {
    Heard heard;
    rig.scheduler->start({request, listen(&heard), {}, 0});
    while (rig.scheduler->step()) {
    }
    return heard;
  };
  const Heard cold = ask(r);
  const Heard warm = ask(r);
  EXPECT_EQ(cold.cached, 0);
  EXPECT_EQ(warm.cached, 199);  // one token has to be computed
  EXPECT_EQ(warm.tokens, cold.tokens);
  Request salted = r;
  salted.cache_salt = "somebody else";
  EXPECT_EQ(ask(salted).cached, 0);
  Request exact = r;
  exact.prompt.resize(192);
  EXPECT_EQ(ask(exact).cached, 191);  // two blocks, and the beginning of a third
  Request parts = r;
  parts.prompt[150] = 59;
  EXPECT_EQ(ask(parts).cached, 150);
  parts.cache_salt = "somebody else again";
  EXPECT_EQ(ask(parts).cached, 0);
  // An answer's blocks are a prefix too: the next turn of a chat.
  Request turn = r;
  turn.max_tokens = 100;
  Heard first = ask(turn);
  turn.prompt.insert(turn.prompt.end(), first.tokens.begin(), first.tokens.end());
  turn.prompt.push_back(1);
  turn.max_tokens = 1;
  EXPECT_EQ(ask(turn).cached, 299);
}

TEST(Scheduler, ComputesAPrefixOnceForThoseWhoComeTogether) {
  SchedulerOptions options;
  options.context = kContext;
  options.max_batch_tokens = 64;
  Rig rig(options, 60);
  size_t computed = 0;
  rig.model.on_forward = [&](const model::Batch& batch) { computed += batch.tokens.size(); };
  std::vector<Heard> heard(4);
  Request r;
  for (int i = 0; i < 300; ++i) r.prompt.push_back(i % 37);
  r.max_tokens = 1;
  r.ignore_end = true;
  for (uint32_t choice = 0; choice < 4; ++choice) {
    r.sampling.choice = choice;
    rig.scheduler->start({r, listen(&heard[choice]), {}, 0});
  }
  while (rig.scheduler->step()) {
  }
  // The second begins with its last block beside the first one; the others copy it.
  EXPECT_EQ(computed, 300U + 44 + 2 * 1);
  for (const Heard& h : heard) EXPECT_EQ(h.ends, 1);
  EXPECT_EQ(heard[1].cached, 256);
  EXPECT_EQ(heard[3].cached, 299);
}

TEST(Scheduler, ALongPromptDoesNotHoldUpARunningStream) {
  SchedulerOptions options;
  options.context = kContext;
  options.max_batch_tokens = 256;
  options.itl_target_ms = 50;
  Rig rig(options, 60);
  std::vector<size_t> passes;
  rig.model.on_forward = [&](const model::Batch& batch) {
    passes.push_back(batch.tokens.size());
    rig.clock.advance_ms(static_cast<int64_t>(batch.tokens.size()));  // 1 ms a token
  };
  Heard stream, late;
  Request r;
  r.prompt = {1, 2, 3};
  r.max_tokens = 300;
  r.ignore_end = true;
  rig.scheduler->start({r, listen(&stream), {}, 0});
  rig.scheduler->step();
  Request big = r;
  for (int i = 0; i < 390; ++i) big.prompt.push_back(i % 50);
  big.max_tokens = 1;
  rig.scheduler->start({big, listen(&late), {}, 0});
  while (late.tokens.empty()) {
    const size_t before = stream.tokens.size();
    ASSERT_TRUE(rig.scheduler->step());
    EXPECT_EQ(stream.tokens.size(), before + 1);  // a token in every pass
  }
  ASSERT_GE(passes.size(), 4U);
  EXPECT_LE(passes[1], 65U);  // no speed known yet
  for (size_t i = 2; i < passes.size(); ++i) EXPECT_LE(passes[i], 50U) << "pass " << i;
  EXPECT_EQ(passes[2], 50U);
}

TEST(Scheduler, EightAnswersWithoutAnEndShareASmallPool) {
  SchedulerOptions options;
  options.context = kContext;
  Rig rig(options, 16);  // the eight need 7 blocks each at their end
  size_t computed = 0;
  rig.model.on_forward = [&](const model::Batch& batch) { computed += batch.tokens.size(); };
  std::vector<Client> clients(8);
  for (Client& c : clients) {
    const auto i = static_cast<int32_t>(&c - clients.data());
    for (int32_t t = 0; t < 20; ++t) c.request.prompt.push_back((t * (i + 3)) % kVocab);
    c.request.max_tokens = kContext - 20;
    c.request.sampling.seed = static_cast<uint64_t>(i);
    c.request.ignore_end = true;
  }
  size_t admitted = 0;
  std::vector<size_t> ended;  // in order
  while (ended.size() < clients.size()) {
    while (admitted < clients.size()) {
      Job job{clients[admitted].request, listen(&clients[admitted].heard), {}, 0};
      if (!rig.scheduler->admits(job)) break;
      rig.scheduler->start(std::move(job));
      ++admitted;
    }
    ASSERT_TRUE(rig.scheduler->step());
    ASSERT_TRUE(rig.scheduler->consistent());
    if (rig.scheduler->counters().passes == 2) {
      EXPECT_EQ(rig.scheduler->counters().running, 8);  // a whole context each would have let in two
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      if (clients[i].heard.ends > 0 && std::ranges::find(ended, i) == ended.end()) ended.push_back(i);
    }
  }
  for (const Client& c : clients) check_answer(c);
  EXPECT_EQ(ended, (std::vector<size_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_GT(rig.scheduler->counters().preemptions, 0U);
  EXPECT_LT(computed, 2U * 8 * kContext) << "what was set aside is computed again, but not over and over";
}

TEST(Scheduler, ACancelIsHeardWithinThePass) {
  SchedulerOptions options;
  options.context = kContext;
  Rig rig(options, 60);
  Heard goes, stays;
  Request r;
  for (int i = 0; i < 100; ++i) r.prompt.push_back(i % 37);
  r.max_tokens = 5;
  r.ignore_end = true;
  const base::CancelToken cancel;
  rig.scheduler->start({r, listen(&goes), cancel, 0});
  r.prompt[0] = 5;
  rig.scheduler->start({r, listen(&stays), {}, 0});
  rig.scheduler->step([&] {
    cancel.cancel();
    return false;
  });
  EXPECT_EQ(goes.ends, 1);
  EXPECT_EQ(goes.finish.reason, FinishReason::kCancelled);
  EXPECT_EQ(stays.tokens.size(), 1U);  // the pass went on for the other
  EXPECT_TRUE(rig.scheduler->consistent());

  // Nobody is left in the pass: it is left off.
  const base::CancelToken last;
  Heard alone;
  while (rig.scheduler->step()) {
  }
  const uint64_t passes = rig.scheduler->counters().passes;
  rig.scheduler->start({r, listen(&alone), last, 0});
  rig.scheduler->step([&] {
    last.cancel();
    return false;
  });
  EXPECT_EQ(alone.ends, 1);
  EXPECT_EQ(rig.scheduler->counters().passes, passes);
  EXPECT_TRUE(rig.scheduler->idle());
  EXPECT_EQ(rig.scheduler->cache().available(), 60);
}

TEST(Scheduler, APassOfPromptsAloneEndsInTime) {
  SchedulerOptions options;
  options.context = kContext;
  Rig rig(options, 60);
  std::vector<size_t> passes;
  int ms_per_token = 20;
  rig.model.on_forward = [&](const model::Batch& batch) {
    passes.push_back(batch.tokens.size());
    rig.clock.advance_ms(static_cast<int64_t>(batch.tokens.size()) * ms_per_token);
  };
  const auto ask = [&](int32_t first) {
    Heard heard;
    Request r;
    r.prompt.assign(390, first);
    r.max_tokens = 1;
    rig.scheduler->start({r, listen(&heard), {}, 0});
    passes.clear();
    while (rig.scheduler->step()) {
    }
    EXPECT_EQ(heard.ends, 1);
  };
  ask(1);
  EXPECT_EQ(passes, (std::vector<size_t>{256, 100, 34}));  // two seconds are 100 tokens
  ms_per_token = 1000;
  ask(2);
  EXPECT_EQ(passes[1], 64U);  // fewer would read the weights too often
}

TEST(Scheduler, ScoresFromAPositionOn) {
  SchedulerOptions options;
  options.context = kContext;
  Rig rig(options, 60);
  Request r;
  for (int i = 0; i < 300; ++i) r.prompt.push_back(i % 41);
  r.max_tokens = 0;
  r.prompt_logprobs = true;
  const auto ask = [&](int from) {
    Client c;
    c.request = r;
    c.request.logprobs_from = from;
    rig.scheduler->start({c.request, listen(&c.heard), {}, 0});
    while (rig.scheduler->step()) {
    }
    check_answer(c);
    return c.heard.cached;
  };
  EXPECT_EQ(ask(1), 0);
  EXPECT_EQ(ask(1), 0);    // each of its tokens is scored, so each is computed
  EXPECT_EQ(ask(64), 63);  // position 63 gives the first score
  EXPECT_EQ(ask(65), 64);
  EXPECT_EQ(ask(300), 299);
}

TEST(Scheduler, DamagedLogitsEndOnlyTheirOwnRequest) {
  SchedulerOptions options;
  options.context = kContext;
  Rig rig(options, 60);
  rig.model.change_logits = [](const std::vector<int32_t>& history, float* logits) {
    if (history[0] == 9 && history.size() >= 5) logits[3] = std::nanf("");
  };
  Heard good, bad, scored;
  Request r;
  r.prompt = {1, 2, 3};
  r.max_tokens = 6;
  r.ignore_end = true;
  rig.scheduler->start({r, listen(&good), {}, 0});
  r.prompt[0] = 9;
  rig.scheduler->start({r, listen(&bad), {}, 0});
  r.prompt = {9, 3, 3, 3, 3, 3, 3};
  r.prompt_logprobs = true;
  r.max_tokens = 0;
  rig.scheduler->start({r, listen(&scored), {}, 0});
  while (rig.scheduler->step()) {
    EXPECT_TRUE(rig.scheduler->consistent());
  }
  EXPECT_EQ(good.tokens.size(), 6U);
  EXPECT_EQ(bad.tokens.size(), 2U);
  EXPECT_TRUE(bad.error);
  EXPECT_TRUE(scored.error);
  EXPECT_EQ(scored.ends, 1);
  EXPECT_EQ(rig.scheduler->cache().available(), 60);
}

}  // namespace
}  // namespace concerto::engine
