#include "text/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <limits>
#include <utility>

#include "base/utf8.h"
#include "text/unicode_tables.h"

namespace concerto::text {

const std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

using base::Code;
using base::Result;

struct CodeFree {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
};
struct MatchFree {
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};
struct ContextFree {
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};
struct StackFree {
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};

// The JIT's own stack, only made when the 32 KB of the thread's stack that it uses first don't suffice.
constexpr size_t kJitStackMax = size_t{64} << 20;

// One compiled pattern and what a thread needs to run it.
class Matcher {
 public:
  explicit Matcher(const pcre2_code* code)
      : code_(code),
        data_(pcre2_match_data_create_from_pattern(code, nullptr)),
        context_(pcre2_match_context_create(nullptr)) {}

  // Finds the next match in subject[at...). false: none, or the pattern hit a limit.
  bool next(std::string_view subject, size_t at, size_t* begin, size_t* end) {
    if (!data_ || !context_) return false;
    int found = run(subject, at);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && !stack_) {
      stack_.reset(pcre2_jit_stack_create(size_t{64} << 10, kJitStackMax, nullptr));
      if (stack_) {
        pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
        found = run(subject, at);
      }
    }
    if (found < 0) return false;
    const PCRE2_SIZE* ovector = pcre2_get_ovector_pointer(data_.get());
    *begin = ovector[0];
    *end = ovector[1];
    return *begin <= *end;  // \K in a look-ahead can turn them round
  }

 private:
  int run(std::string_view subject, size_t at) {
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(), at, PCRE2_NO_UTF_CHECK,
                       data_.get(), context_.get());
  }

  const pcre2_code* code_;
  std::unique_ptr<pcre2_match_data, MatchFree> data_;
  std::unique_ptr<pcre2_match_context, ContextFree> context_;
  std::unique_ptr<pcre2_jit_stack, StackFree> stack_;
};

// `text` as PCRE2 should see it: *copy is filled (same length) when a code point needs a stand-in.
std::string_view with_stand_ins(std::string_view text, std::string* copy) {
  // No code point below U+0800 has one, so two-byte characters and ASCII are passed over.
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0xE0) {
      ++i;
      continue;
    }
    const size_t begin = i;
    const char32_t c = base::utf8_next(text, &i);
    const char32_t stand_in = stand_in_for(c);
    if (stand_in == c) continue;
    if (copy->empty()) copy->assign(text);
    std::string bytes;
    base::utf8_append(&bytes, stand_in);
    if (bytes.size() == i - begin) copy->replace(begin, bytes.size(), bytes);
  }
  return copy->empty() ? text : std::string_view(*copy);
}

struct Compiled {
  SplitStep step;
  std::unique_ptr<pcre2_code, CodeFree> code;  // null for kDigits
};

// A piece and the same bytes as PCRE2 should see them.
struct Piece {
  size_t begin;
  size_t end;
};

void split_digits(std::string_view text, Piece piece, bool each, std::vector<Piece>* out) {
  const CodeSet& numeric = numeric_set();
  size_t open = piece.begin;  // start of the run that isn't given out yet
  bool in_digits = false;
  for (size_t i = piece.begin; i < piece.end;) {
    const size_t begin = i;
    const bool digit = numeric.has(base::utf8_next(text, &i));
    if (begin > open && (digit != in_digits || (digit && each))) {
      out->push_back({open, begin});
      open = begin;
    }
    in_digits = digit;
  }
  if (piece.end > open) out->push_back({open, piece.end});
}

void split_regex(const Compiled& compiled, Matcher* matcher, std::string_view seen, Piece piece,
                 std::vector<Piece>* out) {
  // The oracle matches each piece by itself, so what is before and behind it is out of sight for look-arounds.
  const std::string_view subject = seen.substr(piece.begin, piece.end - piece.begin);
  const bool keep_matches = !(compiled.step.drop && !compiled.step.invert);
  const bool keep_gaps = !(compiled.step.drop && compiled.step.invert);
  size_t done = 0;
  size_t at = 0;
  size_t begin = 0;
  size_t end = 0;
  while (at <= subject.size() && matcher->next(subject, at, &begin, &end)) {
    if (begin == end) {  // an empty match cuts nothing here; go on behind the next character
      if (begin >= subject.size()) break;
      at = begin;
      base::utf8_next(subject, &at);
      continue;
    }
    if (begin < done) break;
    if (begin > done && keep_gaps) out->push_back({piece.begin + done, piece.begin + begin});
    if (keep_matches) out->push_back({piece.begin + begin, piece.begin + end});
    done = at = end;
  }
  if (done < subject.size() && keep_gaps) out->push_back({piece.begin + done, piece.end});
}

class Pcre2Pretokenizer final : public Pretokenizer {
 public:
  explicit Pcre2Pretokenizer(std::vector<Compiled> steps) : steps_(std::move(steps)) {}

  void split(std::string_view text, std::vector<std::string_view>* pieces) const override {
    if (text.empty()) return;
    std::string copy;
    const std::string_view seen = with_stand_ins(text, &copy);
    std::vector<Piece> now{{0, text.size()}};
    std::vector<Piece> next;
    for (const Compiled& compiled : steps_) {
      next.clear();
      if (compiled.step.kind == SplitStep::kDigits) {
        for (const Piece piece : now) split_digits(text, piece, compiled.step.each_digit, &next);
      } else {
        Matcher matcher(compiled.code.get());
        for (const Piece piece : now) split_regex(compiled, &matcher, seen, piece, &next);
      }
      now.swap(next);
    }
    pieces->reserve(pieces->size() + now.size());
    for (const Piece piece : now) pieces->push_back(text.substr(piece.begin, piece.end - piece.begin));
  }

 private:
  std::vector<Compiled> steps_;
};

}  // namespace

Result<std::unique_ptr<Pretokenizer>> Pretokenizer::make(std::vector<SplitStep> steps, const std::string& where) {
  std::vector<Compiled> compiled;
  for (SplitStep& step : steps) {
    Compiled one{std::move(step), nullptr};
    if (one.step.kind == SplitStep::kRegex) {
      int error = 0;
      PCRE2_SIZE offset = 0;
      one.code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(one.step.pattern.data()), one.step.pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
      if (!one.code) {
        PCRE2_UCHAR text[256] = {};
        pcre2_get_error_message(error, text, sizeof text);
        return base::fail(Code::kUnsupported, fmt::format("{}: regex, byte {}: {}: {}", where, offset,
                                                          reinterpret_cast<const char*>(text), one.step.pattern));
      }
      // Without a JIT (other machines) pcre2_match interprets: slower, same pieces.
      pcre2_jit_compile(one.code.get(), PCRE2_JIT_COMPLETE);
    }
    compiled.push_back(std::move(one));
  }
  return std::make_unique<Pcre2Pretokenizer>(std::move(compiled));
}

Result<std::vector<SplitStep>> steps_of_gguf_pre(std::string_view pre) {
  const auto regex = [](std::string_view pattern) {
    SplitStep step;
    step.pattern = pattern;
    return step;
  };
  if (pre == "qwen2" || pre == "deepseek-r1-qwen" || pre == "megrez") return std::vector{regex(kQwen2Pattern)};
  if (pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3") return std::vector{regex(kLlama3Pattern)};
  if (pre == "gpt-2" || pre == "default" || pre.empty()) return std::vector{regex(kGpt2Pattern)};
  if (pre == "smollm") {
    SplitStep digits;
    digits.kind = SplitStep::kDigits;
    return std::vector{digits, regex(kGpt2Pattern)};
  }
  return base::fail(Code::kUnsupported,
                    fmt::format("tokenizer.ggml.pre: expected qwen2, deepseek-r1-qwen, llama-bpe, smollm or gpt-2, "
                                "found {}",
                                pre));
}

}  // namespace concerto::text
