// Random tiers that are slow, down, silent, refusing, truncating or lying: whatever they do, each request ends exactly
// once, goes to no tier that can't hold it, shows nothing before its decision, and takes the same route streaming or
// not. All time is fake; one thread.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "base/log.h"
#include "cascade/cascade.h"
#include "cascade/confidence.h"
#include "scripted.h"

namespace concerto::cascade {
namespace {

using base::Code;

// What a tier will do with the request, drawn once so that it can be played twice.
struct Script {
  std::string name;
  Capabilities caps;
  int count = 0;         // prompt tokens; -1: it can't count
  int refuse_with = -1;  // a Code
  bool opens_case = false;
  std::vector<float> margins;  // of its words
  int64_t step_ms = 0;         // between events; 0: all inside of start()
  enum { kEnds, kFails, kHangs, kDrops, kFilters } how = kEnds;
  bool talks_on = false;  // events after its end
  int per_delta = 1;
  int timeout_ms = 0;
  int first_event_ms = 0;
};

struct World {
  std::vector<Script> tiers;
  ChatRequest request;
  CascadeOptions options;
  int64_t cancel_at = -1;
};

World draw(uint32_t seed) {
  std::mt19937 random(seed);
  const auto below = [&](uint32_t n) { return static_cast<int>(random() % n); };
  World out;
  const int machines = 1 + below(3);
  for (int i = 0; i < machines; ++i) {
    Script one;
    one.name = fmt::format("tier{}", i);
    one.caps.context = below(4) == 0 ? 0 : 100 << below(4);
    one.caps.images = below(3) == 0;
    one.caps.tools = below(3) == 0;
    one.caps.logprobs = below(4) != 0;
    one.count = below(5) == 0 ? -1 : 20 + below(300);
    if (below(8) == 0) one.refuse_with = below(17);
    const int words = below(6) == 0 ? 0 : 1 + below(40);
    const bool sure = below(2) == 0;
    for (int w = 0; w < words; ++w) {
      one.margins.push_back(static_cast<float>(sure ? 900 + below(101) : below(1001)) / 1000.0F);
    }
    one.step_ms = below(3) == 0 ? 0 : below(60);
    one.how = static_cast<decltype(one.how)>(below(5) < 3 ? 0 : below(5));
    one.talks_on = below(3) == 0 && one.how != Script::kHangs && one.how != Script::kDrops;
    one.per_delta = 1 + below(5);
    one.timeout_ms = below(2) == 0 ? 0 : 50 + below(2000);
    one.first_event_ms = below(2) == 0 ? 0 : 1 + below(100);
    if (one.how == Script::kHangs && one.timeout_ms == 0) one.timeout_ms = 500;  // else it would hang by right
    out.tiers.push_back(one);
  }
  if (below(2) == 0) {
    Script people;
    people.name = "people";
    people.caps.person = true;
    people.count = -1;
    people.opens_case = true;
    people.margins = {0.0F};
    if (below(6) == 0) people.how = Script::kFails;
    people.step_ms = below(2);
    out.tiers.push_back(people);
  }
  out.request = ask(below(4) == 0 ? "合同?" : "hi");
  out.request.messages[0].images = below(6) == 0 ? 1 : 0;
  if (below(6) == 0) out.request.tools_json = "[{}]";
  if (below(2) == 0) out.request.max_tokens = 1 + below(600);
  out.options.window_tokens = below(4) == 0 ? 0 : 1 + below(20);
  if (below(8) == 0) out.cancel_at = below(300);
  return out;
}

// Plays one tier's script by timers of the same fake time.
void play(const Script& script, FakeTimers* timers, ScriptedBackend::Call& call) {
  if (script.refuse_with >= 0) {
    call.sink(base::Error{static_cast<Code>(script.refuse_with), script.name + ": refuses", {}});
    if (!script.talks_on) return;
  }
  std::vector<BackendEvent> events;
  if (script.opens_case) events.emplace_back(CaseOpened{"case-1"});
  Delta delta;
  for (size_t i = 0; i < script.margins.size(); ++i) {
    delta.content += "w";
    if (script.caps.logprobs) delta.tokens.push_back(signal("w", script.margins[i]));
    if (static_cast<int>(i + 1) % script.per_delta == 0 || i + 1 == script.margins.size()) {
      events.emplace_back(std::exchange(delta, {}));
    }
  }
  const int words = static_cast<int>(script.margins.size());
  if (script.how == Script::kEnds) events.emplace_back(end_of(script.count, words));
  if (script.how == Script::kFilters) events.emplace_back(end_of(script.count, words, FinishReason::kContentFilter));
  if (script.how == Script::kFails) events.emplace_back(base::Error{Code::kUpstream, script.name + ": broke", {}});
  if (script.talks_on) {
    events.emplace_back(word("late", 1));
    events.emplace_back(end_of(1, 1));
    events.emplace_back(base::Error{Code::kInternal, "late", {}});
  }
  // kHangs keeps the sink, kDrops lets it go.
  const BackendSink kept = call.sink;
  const bool drops = script.how == Script::kDrops;
  int64_t at = 0;
  for (BackendEvent& event : events) {
    if (script.step_ms == 0) {
      kept(std::move(event));
      continue;
    }
    at += script.step_ms;
    timers->after(at, [kept, moved = std::make_shared<BackendEvent>(std::move(event))] { kept(std::move(*moved)); });
  }
  if (!drops) timers->after(100'000, [kept] {});
}

struct Outcome {
  Seen seen;
  std::vector<std::string> asked;
};

Outcome run(const World& world, bool stream) {
  base::FakeClock clock;
  FakeTimers timers(&clock);
  Outcome out;
  std::vector<Tier> tiers;
  for (const Script& script : world.tiers) {
    auto backend = std::make_shared<ScriptedBackend>(script.name);
    backend->caps = script.caps;
    if (script.count >= 0) {
      backend->count = script.count;
    } else {
      backend->count = base::fail(Code::kUnsupported, "can't count");
    }
    backend->on_start = [&out, &timers, script](ScriptedBackend::Call& call) {
      out.asked.push_back(script.name);
      play(script, &timers, call);
    };
    tiers.push_back({backend, script.timeout_ms, script.first_event_ms});
  }
  auto cascade = *Cascade::create(world.options, std::move(tiers), timers, clock);
  ChatRequest request = world.request;
  request.stream = stream;
  const base::CancelToken cancel;
  cascade->start(request, [&](CascadeEvent&& event) { out.seen.take(std::move(event)); }, cancel);
  if (world.cancel_at >= 0) {
    timers.advance(world.cancel_at);
    cancel.cancel();
  }
  timers.advance(200'000);
  EXPECT_EQ(timers.waiting(), 0U) << "a timer goes on for ever";
  return out;
}

void check(const World& world, const Outcome& out, uint32_t seed) {
  SCOPED_TRACE(seed);
  const Seen& seen = out.seen;
  ASSERT_EQ(seen.ends, 1);
  ASSERT_FALSE(seen.late);
  ASSERT_LE(seen.decisions.size(), 1U);
  // Only tiers that can hold it were asked, in order, each once.
  size_t next = 0;
  for (const std::string& name : out.asked) {
    while (next < world.tiers.size() && world.tiers[next].name != name) ++next;
    ASSERT_LT(next, world.tiers.size()) << "out of order";
    const Script& tier = world.tiers[next++];
    if (tier.caps.person) continue;
    ASSERT_TRUE(world.request.messages[0].images == 0 || tier.caps.images);
    ASSERT_TRUE(world.request.tools_json.empty() || tier.caps.tools);
    if (tier.caps.context > 0 && tier.count >= 0) {
      ASSERT_LE(tier.count + world.request.max_tokens.value_or(1), tier.caps.context);
    }
  }
  const bool keyword = world.request.messages[0].content == "合同?";
  if (keyword && world.tiers.size() > 1) {
    ASSERT_TRUE(out.asked.empty() || out.asked[0] != "tier0");
  }
  if (seen.end) {
    const Decision& decision = seen.end->decision;
    ASSERT_EQ(decision.tier, out.asked.back());
    ASSERT_EQ(decision.tier, seen.decisions[0].tier);
    ASSERT_EQ(decision.attempts.back().outcome, "answered");
    ASSERT_FALSE(decision.reason.empty());
    int prompt = 0;
    int completion = 0;
    for (const Attempt& one : decision.attempts) {
      prompt += one.usage.prompt_tokens;
      completion += one.usage.completion_tokens;
    }
    ASSERT_EQ(prompt, seen.end->total.prompt_tokens);
    ASSERT_EQ(completion, seen.end->total.completion_tokens);
    if (decision.reason == "confident") {
      ASSERT_GE(*decision.confidence, world.options.threshold);
    }
    // Everything the answering tier said, and nothing else.
    for (const Script& tier : world.tiers) {
      if (tier.name == decision.tier) {
        ASSERT_EQ(seen.text.size(), tier.margins.size());
      }
    }
  } else {
    ASSERT_FALSE(seen.error->message.empty());
    if (world.cancel_at < 0) {
      // An error only when nobody was left, or behind the commit.
      ASSERT_TRUE(!seen.decisions.empty() || seen.error->code != Code::kInternal ||
                  out.asked.size() <= world.tiers.size());
    }
  }
}

TEST(Property, EachRequestEndsOnceOnATierThatCanHoldIt) {
  base::set_log_level(base::LogLevel::kOff);
  std::map<std::string, int> reasons;
  for (uint32_t seed = 0; seed < 10'000; ++seed) {
    const World world = draw(seed);
    const Outcome streamed = run(world, true);
    check(world, streamed, seed);
    if (HasFatalFailure()) return;
    ++reasons[streamed.seen.end ? streamed.seen.end->decision.reason
                                : std::string("! ") + std::string(base::code_name(streamed.seen.error->code))];
    const Outcome whole = run(world, false);
    ASSERT_EQ(streamed.asked, whole.asked) << seed;
    ASSERT_EQ(streamed.seen.outcomes(), whole.seen.outcomes()) << seed;
    ASSERT_EQ(streamed.seen.text, whole.seen.text) << seed;
    ASSERT_EQ(streamed.seen.end.has_value(), whole.seen.end.has_value()) << seed;
    if (streamed.seen.end) {
      ASSERT_EQ(streamed.seen.end->decision.confidence, whole.seen.end->decision.confidence) << seed;
      ASSERT_EQ(streamed.seen.end->decision.reason, whole.seen.end->decision.reason) << seed;
    }
  }
  // The worlds reach every kind of end; else the test looks at less than it says.
  for (const char* reason : {"confident", "unscored", "only_tier", "keyword:合同", "needs:context", "needs:images",
                             "low_confidence", "empty", "refused", "error:timeout", "error:upstream", "error:internal",
                             "! context_length", "! unsupported", "! cancelled", "! upstream", "! timeout"}) {
    EXPECT_GT(reasons[reason], 0) << reason;
  }
}

// How the words of an answer are cut into deltas must not change the score: upstreams cut as they like.
TEST(Property, TheDecisionDoesNotDependOnTheCut) {
  base::set_log_level(base::LogLevel::kOff);
  for (uint32_t seed = 0; seed < 300; ++seed) {
    World world = draw(seed);
    world.tiers.resize(1);
    world.tiers.push_back(world.tiers[0]);
    world.tiers[1].name = "tier1";
    world.request = ask("hi");
    world.cancel_at = -1;
    for (Script& tier : world.tiers) {
      tier.caps = {};
      tier.caps.logprobs = true;
      tier.refuse_with = -1;
      tier.how = Script::kEnds;
      tier.step_ms = tier.timeout_ms = tier.first_event_ms = 0;
    }
    std::optional<std::string> outcomes;
    for (int cut = 1; cut <= 7; ++cut) {
      world.tiers[0].per_delta = cut;
      const Outcome out = run(world, true);
      ASSERT_TRUE(out.seen.end);
      std::string key = out.seen.outcomes();
      for (const Attempt& one : out.seen.end->decision.attempts) key += fmt::format(" {}", one.confidence.value_or(-1));
      if (!outcomes) outcomes = key;
      ASSERT_EQ(*outcomes, key) << seed << " cut by " << cut;
    }
  }
}

}  // namespace
}  // namespace concerto::cascade
