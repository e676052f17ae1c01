// ThinkSplitter: separates what a reasoning model thinks (<think>…</think>) from what it answers, in a stream. One per
// stream; not thread-safe.
//
// The opening tag counts at the beginning of a line and once; a template may have opened it in the prompt already.
// White space around the tags belongs to neither part. Text that may be the beginning of a tag, and white space before
// one, is held back. The joined results don't depend on how the text was cut. Text without tags passes unchanged.
#pragma once

#include <string>
#include <string_view>

namespace concerto::text {

class ThinkSplitter {
 public:
  struct Parts {
    std::string content;
    std::string reasoning;
  };

  // open_at_start: the prompt ends inside of a <think>.
  explicit ThinkSplitter(bool open_at_start);

  Parts feed(std::string_view text);
  // The end: what was held back. A <think> that was never closed stays reasoning.
  Parts finish();
  [[nodiscard]] bool thinking() const noexcept { return state_ == State::kOpening || state_ == State::kThinking; }

 private:
  enum class State {
    kBefore,    // content, a tag may come
    kOpening,   // behind the opening tag, nothing but white space seen
    kThinking,  // reasoning
    kClosing,   // behind the closing tag, nothing but white space seen
    kAfter,     // content to the end
  };
  // Each returns true when the state changed and the rest of held_ is to be looked at again.
  bool before(Parts* out);
  bool opening();
  bool thinking_on(Parts* out);

  State state_;
  std::string held_;
  bool shown_ = false;  // content was given out
};

// Whether a rendered prompt leaves a <think> open at its end.
bool prompt_opens_think(std::string_view prompt) noexcept;

}  // namespace concerto::text
