// Pretokenizer: cuts text into the pieces that BPE never merges across. Immutable; thread-safe.
//
// A pre-tokenizer is a list of steps; each cuts the pieces of the one before. Regexes run on PCRE2 (JIT, Unicode
// properties); code points younger than its tables are shown to it as older ones of the same category
// (unicode_tables.h), so that pieces equal those of Hugging Face `tokenizers` on every code point.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace concerto::text {

struct SplitStep {
  enum Kind { kRegex, kDigits };
  Kind kind = kRegex;
  std::string pattern;     // kRegex
  bool drop = false;       // kRegex: what the pattern matches (or doesn't, when inverted) is thrown away
  bool invert = false;     // kRegex: pieces are what the pattern does not match
  bool each_digit = true;  // kDigits: one piece a digit, not a run of digits
};

class Pretokenizer {
 public:
  // Error: kUnsupported when a pattern isn't a regex that PCRE2 understands; `where` names it.
  static base::Result<std::unique_ptr<Pretokenizer>> make(std::vector<SplitStep> steps, const std::string& where);
  virtual ~Pretokenizer() = default;

  // Appends the pieces of `text` (valid UTF-8) to *pieces: substrings of it, in order. Never fails: where a hostile
  // pattern runs into the match limit, the rest of the text is one piece.
  virtual void split(std::string_view text, std::vector<std::string_view>* pieces) const = 0;
};

// The patterns that models publish.
extern const std::string_view kGpt2Pattern;
extern const std::string_view kQwen2Pattern;
extern const std::string_view kLlama3Pattern;

// The steps of GGUF's `tokenizer.ggml.pre`. Error: kUnsupported naming the value.
base::Result<std::vector<SplitStep>> steps_of_gguf_pre(std::string_view pre);

}  // namespace concerto::text
