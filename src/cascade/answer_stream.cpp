#include "cascade/answer_stream.h"

#include <iterator>
#include <utility>

namespace concerto::cascade {
namespace {

bool is_blank(std::string_view bytes) { return bytes.find_first_not_of(" \t\r\n") == std::string_view::npos; }

}  // namespace

Delta AnswerStream::feed(TokenInfo token, bool visible) {
  if (stopped_) return {};
  const bool was_thinking = splitter_.thinking();
  const std::string bytes = visible ? token.bytes : std::string();
  waiting_.push_back(std::move(token));
  Delta out = take(detokenizer_.feed(bytes));
  // What stands between the thinking and the answer (</think>, line breaks) counts as thinking: the logprobs of the
  // content begin with its first word.
  thought_ = thought_ || was_thinking || splitter_.thinking();
  answered_ = answered_ || !out.content.empty();
  waiting_.back().thinking =
      was_thinking || splitter_.thinking() || (thought_ && !answered_ && is_blank(waiting_.back().bytes));
  if (stopped_) {
    auto parts = splitter_.finish();
    out.content += parts.content;
    out.reasoning += parts.reasoning;
    drop_stop_string(out.content.size() + out.reasoning.size());
  }
  release(&out);
  return out;
}

// Keeps the waiting tokens that made the last `shown` bytes; those behind them spell the stop string.
void AnswerStream::drop_stop_string(size_t shown) {
  size_t keep = 0;
  for (size_t bytes = 0; keep < waiting_.size() && bytes < shown; ++keep) bytes += waiting_[keep].bytes.size();
  waiting_.resize(keep);
}

Delta AnswerStream::take(std::string_view text) {
  auto step = matcher_.feed(text);
  stopped_ = step.stopped;
  auto parts = splitter_.feed(step.text);
  return {std::move(parts.content), std::move(parts.reasoning), {}};
}

Delta AnswerStream::finish() {
  if (stopped_) return {};
  Delta out = take(detokenizer_.finish());
  for (auto& parts : {splitter_.feed(matcher_.finish()), splitter_.finish()}) {
    out.content += parts.content;
    out.reasoning += parts.reasoning;
  }
  release(&out);
  return out;
}

void AnswerStream::release(Delta* delta) {
  if (delta->content.empty() && delta->reasoning.empty()) return;
  if (delta->content.empty()) {  // a tag may be spelt by several tokens: only its last one showed what they are
    for (TokenInfo& token : waiting_) token.thinking = true;
  }
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(delta->tokens));
  waiting_.clear();
}

}  // namespace concerto::cascade
