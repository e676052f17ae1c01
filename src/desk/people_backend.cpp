#include "desk/people_backend.h"

#include <fmt/format.h>

#include "base/log.h"

namespace concerto::desk {
namespace {

using base::Code;

// Each waiting job holds a whole conversation (at most the API's body limit); a disk that lets more pile up is not
// going to catch up while clients wait.
constexpr size_t kMaxWaiting = 256;

}  // namespace

PeopleBackend::PeopleBackend(std::string name, Cases* cases)
    : name_(std::move(name)), cases_(cases), thread_([this] { work(); }) {}

PeopleBackend::~PeopleBackend() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

cascade::Capabilities PeopleBackend::capabilities() const {
  // People read images and do what tools would; no context limits them.
  return {.context = 0, .images = true, .tools = true, .logprobs = false, .person = true};
}

base::Result<int> PeopleBackend::count_tokens(const cascade::ChatRequest&) const {
  return base::fail(Code::kUnsupported, fmt::format("{}: people count no tokens", name_));
}

void PeopleBackend::start(const cascade::ChatRequest& request, const cascade::Handover& handover,
                          cascade::BackendSink sink, base::CancelToken cancel) {
  {
    const std::lock_guard lock(mutex_);
    if (!stop_ && jobs_.size() < kMaxWaiting) {
      jobs_.push_back({request, handover, std::move(sink), std::move(cancel)});
      wake_.notify_one();
      return;
    }
  }
  sink(base::Error{
      Code::kBusy, fmt::format("{}: {} requests already wait to be stored as cases", name_, kMaxWaiting), {}});
}

void PeopleBackend::work() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    take_up(job);
  }
}

void PeopleBackend::take_up(const Job& job) {
  // A client that has left never learns the id: nobody should spend time on an answer that nobody can fetch.
  if (job.cancel.cancelled()) {
    job.sink(base::Error{Code::kCancelled, fmt::format("{}: the client left before its case was stored", name_), {}});
    return;
  }
  auto id = cases_->open(job.request, job.handover);
  if (!id) {
    base::log(base::LogLevel::kError, "case not stored request={} error=\"{}\"", job.request.id, id.error().message);
    // The client learns that nobody will answer, but not where this server keeps its files.
    job.sink(base::Error{id.error().code == Code::kUnavailable ? Code::kUnavailable : Code::kIo,
                         fmt::format("{}: no model could answer, and the case for a person could not be stored; please "
                                     "ask again later",
                                     name_),
                         {}});
    return;
  }
  base::log(base::LogLevel::kInfo, "case opened id={} request={} reason={}", *id, job.request.id, job.handover.reason);
  job.sink(cascade::CaseOpened{*id});
  cascade::Delta delta;
  delta.content = case_notice(language_of(last_question(job.request)), *id);
  job.sink(std::move(delta));
  job.sink(cascade::End{});
}

std::string case_notice(std::string_view language, std::string_view case_id) {
  if (language == "zh") {
    return fmt::format(
        "这个问题目前没有模型能可靠地回答，已转交人工处理。工单号：{0}。"
        "处理进度和人工答复可通过 GET /v1/cases/{0} 查询。",
        case_id);
  }
  return fmt::format(
      "No model here can answer this reliably, so a person will. Your case is {0}; its state, and the answer once it "
      "is "
      "written, are at GET /v1/cases/{0}.",
      case_id);
}

}  // namespace concerto::desk
