#include "cascade/cascade.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "scripted.h"

namespace concerto::cascade {
namespace {

using base::Code;
using ::testing::HasSubstr;

class CascadeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    base::set_log_level(base::LogLevel::kOff);
    options_.window_tokens = 4;
    people_->caps = {};
    people_->caps.person = true;
    people_->count = base::fail(Code::kUnsupported, "people don't count");
    people_->on_start = [](ScriptedBackend::Call& call) {
      call.sink(CaseOpened{"case-7"});
      call.sink(Delta{"A person will answer.", "", {}});
      call.sink(End{});
    };
  }

  // A call left open holds its request, which holds the tiers, which hold the call: it ends with the test. A sink that
  // is dropped may start the next tier, so the cascade closes down first.
  void TearDown() override {
    cascade_.reset();
    for (const auto& one : {fast_, big_, people_}) one->calls.clear();
  }

  Cascade& make(const std::vector<std::shared_ptr<ScriptedBackend>>& backends, int timeout_ms = 0,
                int first_event_ms = 0) {
    std::vector<Tier> tiers;
    for (const auto& one : backends) tiers.push_back({one, timeout_ms, first_event_ms});
    auto made = Cascade::create(options_, std::move(tiers), timers_, clock_);
    EXPECT_TRUE(made) << made.error().message;
    cascade_ = std::move(*made);
    return *cascade_;
  }
  CascadeSink sink() {
    return [this](CascadeEvent&& event) { seen_.take(std::move(event)); };
  }
  void start(const std::string& text = "营业时间?") { cascade_->start(ask(text), sink(), cancel_); }
  void expect_over() const {
    EXPECT_EQ(seen_.ends, 1);
    EXPECT_FALSE(seen_.late);
  }

  Seen seen_;  // outlives all that may still report to it: timers that are dropped end their requests
  base::FakeClock clock_;
  FakeTimers timers_{&clock_};
  CascadeOptions options_;
  std::shared_ptr<ScriptedBackend> fast_ = std::make_shared<ScriptedBackend>("fast");
  std::shared_ptr<ScriptedBackend> big_ = std::make_shared<ScriptedBackend>("big");
  std::shared_ptr<ScriptedBackend> people_ = std::make_shared<ScriptedBackend>("people");
  std::unique_ptr<Cascade> cascade_;
  base::CancelToken cancel_;
};

TEST_F(CascadeTest, ConfidentFirstTierAnswersAfterTheWindow) {
  make({fast_, big_, people_});
  start();
  auto& call = fast_->calls.at(0);
  for (int i = 0; i < 3; ++i) call.sink(word("a", 0.99F));
  EXPECT_TRUE(seen_.decisions.empty()) << "nothing may be shown before the window is full";
  call.sink(word("a", 0.99F));
  ASSERT_EQ(seen_.decisions.size(), 1U);
  EXPECT_EQ(seen_.decisions[0].tier, "fast");
  EXPECT_EQ(seen_.decisions[0].reason, "confident");
  EXPECT_EQ(seen_.decisions[0].model_id, "sha256:fast");
  EXPECT_FALSE(seen_.decisions[0].calibrated);
  EXPECT_GE(*seen_.decisions[0].confidence, 0.85);
  EXPECT_EQ(seen_.text, "aaaa");
  call.sink(word("b", 0.0F));  // behind the commit, doubt changes nothing
  EXPECT_EQ(seen_.text, "aaaab");
  clock_.advance_ms(12);
  call.sink(end_of(10, 5));
  expect_over();
  EXPECT_EQ(seen_.outcomes(), "fast=answered");
  EXPECT_EQ(seen_.end->total.completion_tokens, 5);
  EXPECT_EQ(seen_.end->decision.confidence, seen_.decisions[0].confidence);
  EXPECT_DOUBLE_EQ(seen_.end->decision.attempts[0].ms, 12.0);
  EXPECT_EQ(big_->starts, 0);
  EXPECT_FALSE(fast_->calls[0].cancel.cancelled());
}

TEST_F(CascadeTest, ShortAnswerIsJudgedAtItsEnd) {
  make({fast_, big_});
  start();
  fast_->calls.at(0).sink(word("yes", 0.99F));
  EXPECT_TRUE(seen_.decisions.empty());
  fast_->calls[0].sink(end_of(10, 1));
  expect_over();
  EXPECT_EQ(seen_.text, "yes");
  EXPECT_EQ(seen_.end->decision.reason, "confident");
}

TEST_F(CascadeTest, WindowOfZeroTakesTheWholeAnswer) {
  options_.window_tokens = 0;
  make({fast_, big_});
  start();
  for (int i = 0; i < 500; ++i) fast_->calls.at(0).sink(word("a", i < 400 ? 0.99F : 0.0F));
  EXPECT_TRUE(seen_.decisions.empty());
  fast_->calls[0].sink(end_of(10, 500));
  EXPECT_EQ(seen_.ends, 0);
  timers_.advance(0);
  EXPECT_EQ(big_->starts, 1);
}

TEST_F(CascadeTest, DoubtGoesToTheNextTierAndNothingOfItIsShown) {
  make({fast_, big_});
  start();
  for (int i = 0; i < 4; ++i) fast_->calls.at(0).sink(word("x", 0.1F));
  EXPECT_TRUE(fast_->calls[0].cancel.cancelled());
  EXPECT_EQ(big_->starts, 0) << "not on the first engine's thread";
  timers_.advance(0);
  ASSERT_EQ(big_->starts, 1);
  EXPECT_EQ(big_->calls[0].handover.reason, "low_confidence");
  ASSERT_EQ(big_->calls[0].handover.drafts.size(), 1U);
  EXPECT_EQ(big_->calls[0].handover.drafts[0].content, "xxxx");
  EXPECT_EQ(big_->calls[0].handover.drafts[0].tier, "fast");
  EXPECT_LT(*big_->calls[0].handover.drafts[0].confidence, 0.85);
  fast_->calls[0].sink(word("late", 1));  // a tier that does not notice at once
  fast_->calls[0].sink(end_of(10, 6));
  // The last tier answers whatever its confidence, and at once.
  big_->calls[0].sink(word("B", 0.1F));
  EXPECT_EQ(seen_.text, "B");
  ASSERT_EQ(seen_.decisions.size(), 1U);
  EXPECT_EQ(seen_.decisions[0].reason, "low_confidence");
  EXPECT_FALSE(seen_.decisions[0].confidence);
  big_->calls[0].sink(end_of(10, 1));
  expect_over();
  EXPECT_EQ(seen_.outcomes(), "fast=low_confidence big=answered");
  EXPECT_TRUE(seen_.end->decision.confidence) << "known at the end";
  EXPECT_EQ(seen_.end->total.prompt_tokens, 20);
  EXPECT_EQ(seen_.end->total.completion_tokens, 5) << "4 of the draft and 1";
}

TEST_F(CascadeTest, WithPeopleBehindTheLastModelMustConvinceToo) {
  make({fast_, big_, people_});
  start();
  for (int i = 0; i < 4; ++i) fast_->calls.at(0).sink(word("x", 0.1F));
  timers_.advance(0);
  for (int i = 0; i < 4; ++i) big_->calls.at(0).sink(word("y", 0.2F));
  EXPECT_TRUE(seen_.decisions.empty());
  Handover told;
  people_->on_start = [&](ScriptedBackend::Call& call) {
    told = call.handover;
    call.sink(CaseOpened{"case-7"});
    call.sink(Delta{"A person will answer.", "", {}});
    call.sink(End{});
  };
  timers_.advance(0);
  expect_over();
  EXPECT_EQ(told.drafts.size(), 2U);
  EXPECT_EQ(seen_.decisions.at(0).tier, "people");
  EXPECT_EQ(seen_.decisions[0].case_id, "case-7");
  EXPECT_EQ(seen_.decisions[0].reason, "low_confidence");
  EXPECT_EQ(seen_.end->decision.case_id, "case-7");
  EXPECT_FALSE(seen_.end->decision.confidence);
  EXPECT_EQ(seen_.text, "A person will answer.");
  EXPECT_EQ(seen_.outcomes(), "fast=low_confidence big=low_confidence people=answered");
}

TEST_F(CascadeTest, OnlyTierAnswersWhateverItThinksOfItself) {
  make({fast_});
  start("合同怎么写?");  // a rule that leads nowhere does not fire
  fast_->calls.at(0).sink(word("x", 0.0F));
  ASSERT_EQ(seen_.decisions.size(), 1U);
  EXPECT_EQ(seen_.decisions[0].reason, "only_tier");
  fast_->calls[0].sink(end_of(10, 1));
  expect_over();
}

TEST_F(CascadeTest, KeywordSkipsTheFirstTier) {
  make({fast_, big_, people_});
  start("请看看这份合同");
  EXPECT_EQ(fast_->starts, 0);
  ASSERT_EQ(big_->starts, 1);
  EXPECT_EQ(big_->calls[0].handover.reason, "keyword:合同");
  for (int i = 0; i < 4; ++i) big_->calls[0].sink(word("y", 1.0F));
  big_->calls[0].sink(end_of(10, 4));
  expect_over();
  EXPECT_EQ(seen_.end->decision.reason, "keyword:合同");
  EXPECT_EQ(seen_.outcomes(), "fast=skipped:keyword big=answered");
}

TEST_F(CascadeTest, KeywordDoesNotFallBackToTheTierThatItForbids) {
  make({fast_, big_});
  start("合同");
  big_->calls.at(0).sink(base::Error{Code::kUnavailable, "big: down", {}});
  timers_.advance(0);
  expect_over();
  EXPECT_EQ(fast_->starts, 0);
  EXPECT_EQ(seen_.error->code, Code::kUnavailable);
}

TEST_F(CascadeTest, KeywordsCountSinceTheLastAnswerOnly) {
  make({fast_, big_});
  ChatRequest request = ask("合同");
  ChatMessage answer;
  answer.role = "assistant";
  answer.content = "...";
  request.messages.push_back(answer);
  request.messages.push_back(ask("谢谢").messages[0]);
  cascade_->start(request, sink(), cancel_);
  EXPECT_EQ(fast_->starts, 1);
  request.messages.push_back(ask("还有赔偿呢").messages[0]);
  request.messages.push_back(ask("?").messages[0]);
  cascade_->start(request, [](CascadeEvent&&) {}, {});
  EXPECT_EQ(fast_->starts, 1);
  EXPECT_EQ(big_->starts, 1);
}

TEST_F(CascadeTest, TooLongAPromptGoesToATierThatHoldsIt) {
  big_->caps.context = 100'000;
  fast_->count = 5000;
  big_->count = 5000;
  make({fast_, big_, people_});
  start();
  EXPECT_EQ(fast_->starts, 0);
  ASSERT_EQ(big_->starts, 1);
  EXPECT_EQ(big_->calls[0].handover.reason, "needs:context");
}

TEST_F(CascadeTest, WhatNoMachineHoldsGoesToPeople) {
  fast_->count = 5000;
  big_->count = 5000;
  make({fast_, big_, people_});
  start();
  expect_over();
  EXPECT_EQ(seen_.end->decision.tier, "people");
  EXPECT_EQ(seen_.end->decision.reason, "needs:context");
  EXPECT_EQ(seen_.outcomes(), "fast=skipped:context big=skipped:context people=answered");
}

TEST_F(CascadeTest, WithoutPeopleTheRefusalNamesTheLack) {
  fast_->count = 5000;
  big_->count = 5000;
  make({fast_, big_});
  start();
  expect_over();
  EXPECT_EQ(seen_.error->code, Code::kContextLength);
  EXPECT_THAT(seen_.error->message, HasSubstr("5000"));
  EXPECT_THAT(seen_.error->message, HasSubstr("4096"));
}

TEST_F(CascadeTest, TooLargeMaxTokensIsTheClientsToMend) {
  make({fast_, big_, people_});
  ChatRequest request = ask("hi");
  request.max_tokens = 4090;
  cascade_->start(request, sink(), cancel_);
  expect_over();
  EXPECT_EQ(seen_.error->code, Code::kContextLength);
  EXPECT_EQ(seen_.error->param, "max_tokens");
  EXPECT_EQ(people_->starts, 0);
}

TEST_F(CascadeTest, ImagesNeedEyes) {
  big_->caps.images = true;
  make({fast_, big_});
  ChatRequest request = ask("what is it?");
  request.messages[0].images = 1;
  cascade_->start(request, sink(), cancel_);
  EXPECT_EQ(fast_->starts, 0);
  EXPECT_EQ(big_->starts, 1);
  cascade_->start_tier("fast", request, sink(), cancel_);
  EXPECT_EQ(seen_.error->code, Code::kUnsupported);
  EXPECT_THAT(seen_.error->message, HasSubstr("fast"));
}

TEST_F(CascadeTest, ATierIsOnlyDoubtedWhenSomeTierBehindItCouldTakeOver) {
  big_->caps.context = 50;  // can't hold it
  big_->count = 60;
  make({fast_, big_});
  start();
  fast_->calls.at(0).sink(word("x", 0.0F));
  ASSERT_EQ(seen_.decisions.size(), 1U);
  EXPECT_EQ(seen_.decisions[0].reason, "only_tier");
}

TEST_F(CascadeTest, ErrorsLeadOn) {
  for (const Code code : {Code::kUnavailable, Code::kTimeout, Code::kUpstream, Code::kBusy, Code::kContextLength,
                          Code::kInvalidArgument, Code::kOutOfMemory, Code::kInternal, Code::kCancelled}) {
    seen_ = {};
    fast_->starts = big_->starts = 0;
    fast_->calls.clear();
    big_->calls.clear();
    make({fast_, big_});
    start();
    fast_->calls.at(0).sink(word("x", 0.99F));
    fast_->calls[0].sink(base::Error{code, "fast: broke", {}});
    timers_.advance(0);
    ASSERT_EQ(big_->starts, 1);
    big_->calls[0].sink(word("B", 0.1F));
    big_->calls[0].sink(end_of(10, 1));
    expect_over();
    EXPECT_EQ(seen_.text, "B");
    const std::string outcome = "error:" + std::string(base::code_name(code));
    EXPECT_EQ(seen_.outcomes(), "fast=" + outcome + " big=answered");
    EXPECT_EQ(seen_.end->decision.reason, outcome);
  }
}

TEST_F(CascadeTest, AllFailingGivesOneHonestError) {
  make({fast_, big_});
  start();
  for (int i = 0; i < 4; ++i) fast_->calls.at(0).sink(word("x", 0.1F));
  timers_.advance(0);
  big_->calls.at(0).sink(base::Error{Code::kBusy, "upstream big: status 429", {}});
  timers_.advance(0);
  expect_over();
  EXPECT_EQ(seen_.error->code, Code::kBusy);
  EXPECT_THAT(seen_.error->message, HasSubstr("fast: low_confidence"));
  EXPECT_THAT(seen_.error->message, HasSubstr("status 429"));
}

TEST_F(CascadeTest, AFailureBehindTheCommitRetractsNothing) {
  make({fast_, big_, people_});
  start();
  for (int i = 0; i < 4; ++i) fast_->calls.at(0).sink(word("x", 1.0F));
  EXPECT_EQ(seen_.text, "xxxx");
  fast_->calls[0].sink(base::Error{Code::kUpstream, "fast: broke off", {}});
  timers_.advance(1000);
  expect_over();
  EXPECT_EQ(seen_.error->code, Code::kUpstream);
  EXPECT_EQ(big_->starts, 0);
}

TEST_F(CascadeTest, SilenceTimesOut) {
  make({fast_, big_}, 10'000, 500);
  start();
  timers_.advance(499);
  EXPECT_EQ(big_->starts, 0);
  timers_.advance(1);
  EXPECT_EQ(big_->starts, 1);
  EXPECT_TRUE(fast_->calls[0].cancel.cancelled());
  big_->calls[0].sink(word("B", 0.1F));
  timers_.advance(501);
  EXPECT_EQ(seen_.ends, 0) << "a tier that began has no first word to wait for";
  timers_.advance(10'000);
  expect_over();
  EXPECT_EQ(seen_.error->code, Code::kTimeout) << "the whole answer's deadline, behind the commit";
  EXPECT_TRUE(big_->calls[0].cancel.cancelled());
}

TEST_F(CascadeTest, ATierThatNeverEndsTimesOutBeforeTheCommit) {
  make({fast_, big_}, 1000, 0);
  start();
  fast_->calls.at(0).sink(word("x", 1.0F));
  timers_.advance(1000);
  ASSERT_EQ(big_->starts, 1);
  EXPECT_EQ(big_->calls[0].handover.reason, "error:timeout");
  EXPECT_EQ(big_->calls[0].handover.drafts[0].content, "x");
}

TEST_F(CascadeTest, ALeavingClientStopsTheTier) {
  make({fast_, big_});
  start();
  cancel_.cancel();
  timers_.advance(60);
  expect_over();
  EXPECT_EQ(seen_.error->code, Code::kCancelled);
  EXPECT_TRUE(fast_->calls.at(0).cancel.cancelled());
  fast_->calls[0].sink(end_of(1, 1));
  timers_.advance(1000);
  expect_over();
  EXPECT_EQ(big_->starts, 0);
  EXPECT_EQ(timers_.waiting(), 0U) << "nobody looks any more";
}

TEST_F(CascadeTest, AClientThatLeftBeforeTheStartStartsNothing) {
  make({fast_});
  cancel_.cancel();
  start();
  expect_over();
  EXPECT_EQ(fast_->starts, 0);
}

TEST_F(CascadeTest, ADroppedSinkIsAFailure) {
  make({fast_, big_});
  fast_->on_start = [](ScriptedBackend::Call&) {};
  start();
  timers_.advance(0);
  ASSERT_EQ(big_->starts, 1);
  EXPECT_EQ(big_->calls[0].handover.reason, "error:internal");
}

TEST_F(CascadeTest, EmptyAndRefusedAnswersLeadOn) {
  make({fast_, big_});
  start();
  fast_->calls.at(0).sink(end_of(10, 1));
  timers_.advance(0);
  ASSERT_EQ(big_->starts, 1);
  EXPECT_EQ(big_->calls[0].handover.reason, "empty");
  start();
  fast_->calls.at(1).sink(word("no", 1));
  fast_->calls[1].sink(end_of(10, 1, FinishReason::kContentFilter));
  timers_.advance(0);
  ASSERT_EQ(big_->starts, 2);
  EXPECT_EQ(big_->calls[1].handover.reason, "refused");
}

TEST_F(CascadeTest, AnEmptyAnswerOfTheLastTierIsAnAnswer) {
  make({fast_});
  start();
  fast_->calls.at(0).sink(end_of(10, 1));
  expect_over();
  EXPECT_TRUE(seen_.end);
}

TEST_F(CascadeTest, ATierWithoutProbabilitiesIsTakenAtItsWord) {
  fast_->caps.logprobs = false;
  make({fast_, big_});
  start();
  fast_->calls.at(0).sink(Delta{"x", "", {}});
  ASSERT_EQ(seen_.decisions.size(), 1U);
  EXPECT_EQ(seen_.decisions[0].reason, "unscored");
  EXPECT_FALSE(seen_.decisions[0].confidence);
  fast_->calls[0].sink(end_of(1, 1));
  expect_over();
  EXPECT_FALSE(seen_.end->decision.confidence);
}

TEST_F(CascadeTest, BackendsThatAnswerInsideOfStart) {
  fast_->on_start = [](ScriptedBackend::Call& call) { call.sink(base::Error{Code::kBusy, "fast: full", {}}); };
  big_->on_start = [](ScriptedBackend::Call& call) {
    for (int i = 0; i < 6; ++i) call.sink(word("y", 1.0F));
    call.sink(end_of(10, 6));
  };
  make({fast_, big_, people_});
  start();
  timers_.advance(0);
  expect_over();
  EXPECT_EQ(seen_.text, "yyyyyy");
  EXPECT_EQ(seen_.outcomes(), "fast=error:busy big=answered");
}

TEST_F(CascadeTest, ASinkMayStartTheNextRequest) {
  make({fast_});
  fast_->on_start = [](ScriptedBackend::Call& call) {
    call.sink(word("y", 1.0F));
    call.sink(end_of(10, 1));
  };
  int inner_ends = 0;
  cascade_->start(ask("a"),
                  [&](CascadeEvent&& event) {
                    if (!std::holds_alternative<CascadeEnd>(event)) return;
                    cascade_->start(
                        ask("b"),
                        [&](CascadeEvent&& inner) { inner_ends += std::holds_alternative<CascadeEnd>(inner) ? 1 : 0; },
                        {});
                  },
                  {});
  EXPECT_EQ(inner_ends, 1);
}

TEST_F(CascadeTest, StartTierAsksThatTierAlone) {
  make({fast_, big_, people_});
  cascade_->start_tier("fast", ask("合同"), sink(), cancel_);
  ASSERT_EQ(fast_->starts, 1);
  fast_->calls[0].sink(word("x", 0.1F));
  ASSERT_EQ(seen_.decisions.size(), 1U);
  EXPECT_EQ(seen_.decisions[0].reason, "requested");
  for (int i = 0; i < 4; ++i) fast_->calls[0].sink(word("x", 0.1F));
  fast_->calls[0].sink(end_of(10, 5));
  expect_over();
  EXPECT_NEAR(*seen_.end->decision.confidence, *seen_.end->decision.attempts[0].confidence, 0);
  EXPECT_LT(*seen_.end->decision.confidence, 0.85);
  EXPECT_EQ(big_->starts, 0);
}

TEST_F(CascadeTest, StartTierDoesNotEscalateErrors) {
  make({fast_, big_, people_});
  cascade_->start_tier("fast", ask("hi"), sink(), cancel_);
  fast_->calls.at(0).sink(base::Error{Code::kBusy, "fast: full", {}});
  timers_.advance(0);
  expect_over();
  EXPECT_EQ(seen_.error->message, "fast: full");
  EXPECT_EQ(big_->starts, 0);
}

TEST_F(CascadeTest, StartTierOfAnUnknownName) {
  make({fast_, big_});
  cascade_->start_tier("huge", ask("hi"), sink(), cancel_);
  expect_over();
  EXPECT_EQ(seen_.error->code, Code::kNotFound);
  EXPECT_EQ(seen_.error->param, "model");
  EXPECT_THAT(seen_.error->message, HasSubstr("fast, big"));
}

TEST_F(CascadeTest, AfterTheCascadeIsGoneNothingStarts) {
  make({fast_, big_});
  start();
  cascade_.reset();
  fast_->calls.at(0).sink(base::Error{Code::kCancelled, "stopping", {}});
  timers_.advance(0);
  expect_over();
  EXPECT_EQ(seen_.error->code, Code::kUnavailable);
  EXPECT_EQ(big_->starts, 0);
}

TEST_F(CascadeTest, CreateRefusesNonsense) {
  const auto code_of = [&](CascadeOptions options, std::vector<Tier> tiers) {
    auto made = Cascade::create(std::move(options), std::move(tiers), timers_, clock_);
    return made ? std::string("ok") : std::string(base::code_name(made.error().code));
  };
  EXPECT_EQ(code_of({}, {}), "invalid_argument");
  EXPECT_EQ(code_of({}, {{fast_}, {std::make_shared<ScriptedBackend>("fast")}}), "invalid_argument");
  CascadeOptions options;
  options.threshold = 1.5;
  EXPECT_EQ(code_of(options, {{fast_}}), "invalid_argument");
  options = {};
  options.threshold = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(code_of(options, {{fast_}}), "invalid_argument");
  options = {};
  options.keywords = {"\xE2\x80\x8B"};  // a zero-width space
  EXPECT_EQ(code_of(options, {{fast_}}), "invalid_argument");
  options = {};
  options.window_tokens = -1;
  EXPECT_EQ(code_of(options, {{fast_}}), "invalid_argument");
  EXPECT_EQ(code_of({}, {{fast_}}), "ok");
}

}  // namespace
}  // namespace concerto::cascade
