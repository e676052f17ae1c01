#include "text/added_tokens.h"

#include <utf8proc.h>

#include <utility>

#include "base/utf8.h"

namespace concerto::text {
namespace {

bool is_space(char32_t c) noexcept {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// \w: letters, marks, numbers, connectors.
bool is_word(char32_t c) noexcept {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

// Where the character before text[end) begins.
size_t previous(std::string_view text, size_t end) noexcept {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

char32_t before(std::string_view text, size_t end) noexcept {
  size_t at = previous(text, end);
  return base::utf8_next(text, &at);
}

char32_t after(std::string_view text, size_t at) noexcept { return base::utf8_next(text, &at); }

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  nodes_.emplace_back();
  for (size_t t = 0; t < tokens_.size(); ++t) {
    const std::string& content = tokens_[t].content;
    if (content.empty()) continue;
    int32_t node = 0;
    for (size_t i = 0; i < content.size(); ++i) {
      const auto byte = static_cast<unsigned char>(content[i]);
      int32_t next = i == 0 ? roots_[byte] : child_of(node, byte);
      if (next <= 0) {
        next = static_cast<int32_t>(nodes_.size());
        Node made;
        made.byte = byte;
        if (i == 0) {
          roots_[byte] = next;
        } else {
          made.sibling = nodes_[static_cast<size_t>(node)].child;
          nodes_[static_cast<size_t>(node)].child = next;
        }
        nodes_.push_back(made);
      }
      node = next;
    }
    nodes_[static_cast<size_t>(node)].token = static_cast<int32_t>(t);
  }
}

int32_t AddedTokens::child_of(int32_t node, unsigned char byte) const noexcept {
  int32_t at = nodes_[static_cast<size_t>(node)].child;
  while (at > 0 && nodes_[static_cast<size_t>(at)].byte != byte) at = nodes_[static_cast<size_t>(at)].sibling;
  return at;
}

int32_t AddedTokens::longest_at(std::string_view text, size_t at) const noexcept {
  int32_t node = roots_[static_cast<unsigned char>(text[at])];
  int32_t found = -1;
  while (node > 0) {
    if (nodes_[static_cast<size_t>(node)].token >= 0) found = nodes_[static_cast<size_t>(node)].token;
    if (++at >= text.size()) break;
    node = child_of(node, static_cast<unsigned char>(text[at]));
  }
  return found;
}

void AddedTokens::split(std::string_view text, bool with_special, std::vector<Section>* out) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const int32_t found = tokens_.empty() ? -1 : longest_at(text, at);
    if (found < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(found)];
    size_t begin = at;
    size_t end = at + token.content.size();
    at = end;  // matches that don't count still use their text up, as in the oracle
    if (token.special && !with_special) continue;
    if (token.single_word) {
      const bool left = begin == 0 || !is_word(before(text, begin));
      const bool right = end == text.size() || !is_word(after(text, end));
      if (!left || !right) continue;
    }
    if (token.lstrip) {
      while (begin > done && is_space(before(text, begin))) begin = previous(text, begin);
    }
    if (token.rstrip) {
      while (end < text.size() && is_space(after(text, end))) base::utf8_next(text, &end);
    }
    if (begin < done) continue;  // its own text was taken along by the match before
    if (begin > done) out->push_back({text.substr(done, begin - done), -1});
    out->push_back({text.substr(begin, end - begin), token.id});
    done = end;
  }
  if (done < text.size()) out->push_back({text.substr(done), -1});
}

}  // namespace concerto::text
