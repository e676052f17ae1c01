// PeopleBackend: people as a tier. A request it takes becomes a case; the client is told so, honestly and at once.
//
// start() returns at once: a thread of its own waits for the disk, so that no engine or timer thread does. Events:
// CaseOpened once the case is on the disk, one Delta that says so in the question's language, End. When the store
// fails: an Error, and nothing pretends that somebody will answer. The Cases must outlive it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "cascade/backend.h"
#include "desk/cases.h"

namespace concerto::desk {

class PeopleBackend final : public cascade::Backend {
 public:
  PeopleBackend(std::string name, Cases* cases);
  // Stores what was accepted, then joins.
  ~PeopleBackend() override;
  PeopleBackend(const PeopleBackend&) = delete;
  PeopleBackend& operator=(const PeopleBackend&) = delete;

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] cascade::Capabilities capabilities() const override;
  [[nodiscard]] base::Result<int> count_tokens(const cascade::ChatRequest& request) const override;
  void start(const cascade::ChatRequest& request, const cascade::Handover& handover, cascade::BackendSink sink,
             base::CancelToken cancel) override;
  [[nodiscard]] std::string model_id() const override { return {}; }

 private:
  struct Job {
    cascade::ChatRequest request;
    cascade::Handover handover;
    cascade::BackendSink sink;
    base::CancelToken cancel;
  };

  void work();
  void take_up(const Job& job);

  std::string name_;
  Cases* cases_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;  // guarded by mutex_
  bool stop_ = false;     // guarded by mutex_
  std::thread thread_;
};

// What the client reads: that no model could answer reliably, that a person will, the case's id and where its state is.
std::string case_notice(std::string_view language, std::string_view case_id);

}  // namespace concerto::desk
