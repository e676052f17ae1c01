// AddedTokens: finds the tokens that are matched in the text itself, before normalizing and pre-tokenizing:
// control tokens like <|im_start|> and words that a model's maker added. Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace concerto::text {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool special = false;      // control: matched only when the caller trusts the text
  bool normalized = false;   // matched in the normalized text instead of the raw one
  bool single_word = false;  // only between non-word characters
  bool lstrip = false;       // takes the white space on its left along
  bool rstrip = false;       // takes the white space on its right along
};

// A stretch of text, or a token when id >= 0.
struct Section {
  std::string_view text;
  int32_t id = -1;
};

class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // Appends the sections of `text` to *out, in order: leftmost-longest matches and what is between them.
  void split(std::string_view text, bool with_special, std::vector<Section>* out) const;
  [[nodiscard]] bool empty() const noexcept { return tokens_.empty(); }

 private:
  // A trie over bytes: the nodes of one parent are a list of siblings.
  struct Node {
    int32_t child = -1;
    int32_t sibling = -1;
    int32_t token = -1;  // index into tokens_ of the token that ends here
    unsigned char byte = 0;
  };
  [[nodiscard]] int32_t child_of(int32_t node, unsigned char byte) const noexcept;
  [[nodiscard]] int32_t longest_at(std::string_view text, size_t at) const noexcept;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  int32_t roots_[256] = {};  // first byte -> node, 0: none (node 0 is unused)
};

}  // namespace concerto::text
