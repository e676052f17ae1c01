// TokenizerSpec: what a GGUF file and a Hugging Face folder say about a tokenizer, in one shape; the loaders fill it,
// make_tokenizer() checks it and builds. Plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/added_tokens.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"

namespace concerto::text {

// More ids than any vocabulary has; bounds what a hostile file can make us allocate.
constexpr int64_t kMaxTokenId = (int64_t{1} << 21) - 1;

struct TokenizerSpec {
  enum class Kind : uint8_t {
    kAbsent,   // no such token, or one that the file marks as unused
    kNormal,   // part of the BPE vocabulary
    kAdded,    // matched in the text, ordinary words
    kControl,  // matched in trusted text only; never shown to people
  };
  struct Token {
    std::string bytes;  // what the token stands for
    Kind kind = Kind::kAbsent;
  };

  std::string where;                                        // the file, for errors
  std::vector<Token> tokens;                                // by id
  std::vector<std::pair<std::string, std::string>> merges;  // bytes of both halves, by rank
  bool ignore_merges = false;
  int32_t unknown = -1;
  std::vector<AddedToken> added;
  std::vector<SplitStep> steps;
  bool nfc = false;
  int32_t bos = -1;
  int32_t eos = -1;
  bool adds_bos = false;
  std::vector<int32_t> ends;  // further ids that end a generation
};

// Error: kCorrupt when ids are out of range or merges don't fit the vocabulary, kUnsupported for a regex we can't run.
base::Result<std::unique_ptr<Tokenizer>> make_tokenizer(TokenizerSpec spec);

// True for names like <|im_start|> and <｜User｜>: control tokens in all but the flag in some files. They must not be
// matched in what users write.
bool looks_like_control(std::string_view token) noexcept;

}  // namespace concerto::text
