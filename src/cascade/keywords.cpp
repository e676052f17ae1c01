#include "cascade/keywords.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"

namespace concerto::cascade {
namespace {

using base::Code;

base::Result<std::u32string> fold_phrase(const std::string& phrase, std::string_view what) {
  if (base::utf8_valid_prefix(phrase) != phrase.size()) {
    return base::fail(Code::kInvalidArgument, fmt::format("{}: expected UTF-8, found other bytes", what),
                      std::string(what));
  }
  std::u32string folded = fold(phrase).chars;
  if (folded.empty()) {
    return base::fail(Code::kInvalidArgument, fmt::format("{}: expected a word, found nothing visible", what),
                      std::string(what));
  }
  return folded;
}

std::vector<std::u32string> folded_of(const auto& words) {
  std::vector<std::u32string> out;
  out.reserve(words.size());
  for (const auto& word : words) out.push_back(word.folded);
  return out;
}

}  // namespace

base::Result<KeywordMatcher> KeywordMatcher::create(const std::vector<std::string>& keywords,
                                                    const std::vector<std::string>& exceptions) {
  std::vector<Word> words;
  for (const std::string& keyword : keywords) {
    TRY(std::u32string folded, fold_phrase(keyword, "keywords"));
    words.push_back({keyword, std::move(folded)});
  }
  std::stable_sort(words.begin(), words.end(),
                   [](const Word& a, const Word& b) { return a.folded.size() > b.folded.size(); });
  KeywordMatcher out{std::move(words)};
  for (const std::string& exception : exceptions) {
    TRY(std::u32string folded, fold_phrase(exception, "keyword_exceptions"));
    out.exceptions_.push_back(std::move(folded));
  }
  return out;
}

KeywordMatcher::KeywordMatcher(std::vector<Word> words) : words_(std::move(words)), traps_(folded_of(words_)) {
  for (size_t i = 0; i < words_.size(); ++i) by_first_[words_[i].folded.front()].push_back(i);
}

std::optional<KeywordHit> KeywordMatcher::find(std::string_view text) const {
  if (words_.empty()) return std::nullopt;
  const FoldedText folded = fold(text);
  for (size_t i = 0; i < folded.chars.size(); ++i) {
    const auto candidates = by_first_.find(folded.chars[i]);
    if (candidates == by_first_.end()) continue;
    for (const size_t index : candidates->second) {
      const Word& word = words_[index];
      if (folded.chars.compare(i, word.folded.size(), word.folded) != 0) continue;
      const size_t end = i + word.folded.size();
      if (!stands_alone(folded, i, end) || is_excepted(folded.chars, i, end)) continue;
      size_t last = folded.source[end - 1];
      base::utf8_next(text, &last);
      return KeywordHit{word.shown, folded.source[i], last};
    }
  }
  return std::nullopt;
}

bool KeywordMatcher::stands_alone(const FoldedText& text, size_t begin, size_t end) const {
  if (is_word_char(text.chars[begin]) && begin > 0 && is_word_char(text.chars[begin - 1])) return false;
  if (is_word_char(text.chars[end - 1]) && end < text.chars.size() && is_word_char(text.chars[end])) return false;
  for (size_t i = begin; i < end; ++i) {
    if (!is_han(text.chars[i])) return true;
  }
  return !traps_.is_trap(text, begin, end);
}

bool KeywordMatcher::is_excepted(const std::u32string& text, size_t begin, size_t end) const {
  return std::any_of(exceptions_.begin(), exceptions_.end(), [&](const std::u32string& phrase) {
    if (phrase.size() < end - begin) return false;
    // Every place of the phrase that covers the hit.
    const size_t reach = phrase.size() - (end - begin);
    for (size_t at = begin > reach ? begin - reach : 0; at <= begin; ++at) {
      if (text.compare(at, phrase.size(), phrase) == 0) return true;
    }
    return false;
  });
}

}  // namespace concerto::cascade
