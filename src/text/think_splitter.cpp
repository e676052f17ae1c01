#include "text/think_splitter.h"

#include <algorithm>
#include <utility>

namespace concerto::text {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";
constexpr std::string_view kSpace = " \t\r\n";

// How much of the end of `text` has to wait: white space, then a beginning of `tag` (one of them may be empty).
size_t tail_to_hold(std::string_view text, std::string_view tag) noexcept {
  size_t hold = 0;
  for (size_t n = std::min(tag.size() - 1, text.size()); n > 0; --n) {
    if (text.substr(text.size() - n) == tag.substr(0, n)) {
      hold = n;
      break;
    }
  }
  while (hold < text.size() && kSpace.find(text[text.size() - 1 - hold]) != std::string_view::npos) ++hold;
  return hold;
}

size_t trimmed_end(std::string_view text) noexcept { return text.find_last_not_of(kSpace) + 1; }

}  // namespace

ThinkSplitter::ThinkSplitter(bool open_at_start) : state_(open_at_start ? State::kOpening : State::kBefore) {}

bool ThinkSplitter::before(Parts* out) {
  for (size_t at = held_.find(kOpen); at != std::string::npos; at = held_.find(kOpen, at + 1)) {
    const std::string_view lead = std::string_view(held_).substr(0, at);
    const size_t text_end = trimmed_end(lead);
    const bool first = text_end == 0 && !shown_;
    if (!first && lead.find('\n', text_end) == std::string_view::npos) continue;
    out->content.append(lead.substr(0, text_end));
    shown_ = shown_ || text_end > 0;
    held_.erase(0, at + kOpen.size());
    state_ = State::kOpening;
    return true;
  }
  const size_t give = held_.size() - tail_to_hold(held_, kOpen);
  out->content.append(held_, 0, give);
  shown_ = shown_ || give > 0;
  held_.erase(0, give);
  return false;
}

bool ThinkSplitter::opening() {
  while (true) {
    held_.erase(0, std::min(held_.find_first_not_of(kSpace), held_.size()));
    if (!held_.starts_with(kOpen)) break;
    held_.erase(0, kOpen.size());  // the model repeats the tag that its prompt ended with
  }
  if (kOpen.starts_with(held_)) return false;  // also when nothing is left
  state_ = State::kThinking;
  return true;
}

bool ThinkSplitter::thinking_on(Parts* out) {
  if (const size_t at = held_.find(kClose); at != std::string::npos) {
    out->reasoning.append(held_, 0, trimmed_end(std::string_view(held_).substr(0, at)));
    held_.erase(0, at + kClose.size());
    state_ = State::kClosing;
    return true;
  }
  const size_t give = held_.size() - tail_to_hold(held_, kClose);
  out->reasoning.append(held_, 0, give);
  held_.erase(0, give);
  return false;
}

ThinkSplitter::Parts ThinkSplitter::feed(std::string_view text) {
  Parts out;
  held_.append(text);
  for (bool again = true; again;) {
    again = false;
    switch (state_) {
      case State::kBefore:
        again = before(&out);
        break;
      case State::kOpening:
        again = opening();
        break;
      case State::kThinking:
        again = thinking_on(&out);
        break;
      case State::kClosing:
        // White space separates the answer from content before the thoughts, if there is any.
        if (!shown_) held_.erase(0, std::min(held_.find_first_not_of(kSpace), held_.size()));
        if (!held_.empty()) {
          state_ = State::kAfter;
          again = true;
        }
        break;
      case State::kAfter:
        out.content += std::exchange(held_, {});
        break;
    }
  }
  return out;
}

ThinkSplitter::Parts ThinkSplitter::finish() {
  Parts out;
  const std::string rest = std::exchange(held_, {});
  if (thinking()) {
    out.reasoning = rest.substr(0, trimmed_end(rest));
  } else if (state_ == State::kBefore) {
    out.content = rest;
  }
  return out;
}

bool prompt_opens_think(std::string_view prompt) noexcept {
  return prompt.substr(0, trimmed_end(prompt)).ends_with(kOpen);
}

}  // namespace concerto::text
