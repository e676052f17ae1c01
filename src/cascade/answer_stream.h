// AnswerStream: tokens of a local model in, Deltas out: characters made whole, stop strings found, thinking split off,
// each token in the delta whose text consumed it. One per answer; not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "cascade/chat.h"
#include "text/stop_matcher.h"
#include "text/stream_detokenizer.h"
#include "text/think_splitter.h"

namespace concerto::cascade {

class AnswerStream {
 public:
  AnswerStream(const std::vector<std::string>& stops, bool opens_think) : matcher_(stops), splitter_(opens_think) {}

  // `visible` is false for control tokens, which have no text. A delta without text carries no tokens: they wait for
  // the text that they are a part of.
  Delta feed(TokenInfo token, bool visible);
  // What was held back, at the end of the answer; nothing after a stop string, which goes with its tokens.
  Delta finish();
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }

 private:
  Delta take(std::string_view text);
  void drop_stop_string(size_t shown);
  void release(Delta* delta);

  text::StreamDetokenizer detokenizer_;
  text::StopMatcher matcher_;
  text::ThinkSplitter splitter_;
  std::vector<TokenInfo> waiting_;
  bool stopped_ = false;
  bool thought_ = false;   // some of it was thinking
  bool answered_ = false;  // some content was given out
};

}  // namespace concerto::cascade
