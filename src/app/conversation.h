// Conversation: one local model and the messages so far, for the terminal. One thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cascade/backend.h"
#include "engine/engine.h"

namespace concerto::app {

class Conversation {
 public:
  // kUnsupported when the model has no chat template.
  static base::Result<std::unique_ptr<Conversation>> open(const engine::EngineOptions& options);

  // Asks with everything said so far and calls `show` (on this thread) with each piece of the answer, until its end or
  // until `stop` becomes true. The answer, whole or stopped, becomes part of the conversation; after an error the
  // question does not.
  base::Result<cascade::End> ask(const std::string& question, const std::atomic<bool>& stop,
                                 const std::function<void(const cascade::Delta&)>& show);

  // Forgets all but the system message.
  void clear();
  void set_system(const std::string& text);
  // Sampling of the next questions; its messages are the conversation's.
  [[nodiscard]] cascade::ChatRequest& settings() { return request_; }
  [[nodiscard]] const engine::Engine& engine() const { return *engine_; }

 private:
  Conversation(std::shared_ptr<engine::Engine> engine, std::shared_ptr<cascade::Backend> backend)
      : engine_(std::move(engine)), backend_(std::move(backend)) {}

  std::shared_ptr<engine::Engine> engine_;
  std::shared_ptr<cascade::Backend> backend_;
  cascade::ChatRequest request_;
};

}  // namespace concerto::app
