#include "app/conversation.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "cascade/local_backend.h"

namespace concerto::app {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(20);

// Events on their way from the engine's thread to the terminal's: printing may block, the engine may not.
struct Queue {
  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<cascade::BackendEvent> events;  // guarded by mutex
};

}  // namespace

base::Result<std::unique_ptr<Conversation>> Conversation::open(const engine::EngineOptions& options) {
  TRY(std::shared_ptr<engine::Engine> engine, engine::Engine::open(options));
  TRY(auto backend, cascade::make_local_backend("model", engine, base::system_clock()));
  return std::unique_ptr<Conversation>(new Conversation(std::move(engine), std::move(backend)));
}

base::Result<cascade::End> Conversation::ask(const std::string& question, const std::atomic<bool>& stop,
                                             const std::function<void(const cascade::Delta&)>& show) {
  request_.id = "terminal";
  cascade::ChatMessage message;
  message.role = "user";
  message.content = question;
  request_.messages.push_back(std::move(message));

  const auto queue = std::make_shared<Queue>();
  const base::CancelToken cancel;
  backend_->start(
      request_, {},
      [queue](cascade::BackendEvent&& event) {
        const std::lock_guard lock(queue->mutex);
        queue->events.push_back(std::move(event));
        queue->arrived.notify_one();
      },
      cancel);

  cascade::ChatMessage answer;
  answer.role = "assistant";
  for (;;) {
    cascade::BackendEvent event;
    {
      std::unique_lock lock(queue->mutex);
      while (!queue->arrived.wait_for(lock, kPoll, [&] { return !queue->events.empty(); })) {
        if (stop) cancel.cancel();
      }
      if (stop) cancel.cancel();
      event = std::move(queue->events.front());
      queue->events.pop_front();
    }
    if (auto* delta = std::get_if<cascade::Delta>(&event)) {
      answer.content += delta->content;
      answer.reasoning_content += delta->reasoning;
      if (!cancel.cancelled()) show(*delta);
    } else if (auto* end = std::get_if<cascade::End>(&event)) {
      request_.messages.push_back(std::move(answer));
      return *end;
    } else if (auto* error = std::get_if<base::Error>(&event)) {
      if (cancel.cancelled()) {
        request_.messages.push_back(std::move(answer));
        return cascade::End{};
      }
      request_.messages.pop_back();
      return tl::make_unexpected(std::move(*error));
    }
  }
}

void Conversation::clear() {
  std::erase_if(request_.messages, [](const cascade::ChatMessage& message) { return message.role != "system"; });
}

void Conversation::set_system(const std::string& text) {
  std::erase_if(request_.messages, [](const cascade::ChatMessage& message) { return message.role == "system"; });
  if (text.empty()) return;
  cascade::ChatMessage message;
  message.role = "system";
  message.content = text;
  request_.messages.insert(request_.messages.begin(), std::move(message));
}

}  // namespace concerto::app
