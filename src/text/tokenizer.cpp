#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/tokenizer_spec.h"

namespace concerto::text {
namespace {

using base::Code;
using base::Result;
using Kind = TokenizerSpec::Kind;

// Control tokens that end a turn or a text in the families we run, whatever the file's eos says: an instruct model's
// file often names only one of two.
constexpr std::array<std::string_view, 9> kEndTokens = {
    "<|im_end|>", "<|endoftext|>", "<｜end▁of▁sentence｜>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "<|EOT|>",
    "</s>",       "<|end|>",
};

class BpeTokenizer final : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> make(TokenizerSpec spec) {
    std::unique_ptr<BpeTokenizer> t(new BpeTokenizer());
    t->tokens_ = std::move(spec.tokens);
    const auto count = static_cast<int32_t>(t->tokens_.size());
    const auto in_range = [&](int32_t id) { return id >= -1 && id < count; };
    if (!in_range(spec.bos) || !in_range(spec.eos) || !in_range(spec.unknown)) {
      return base::fail(Code::kCorrupt,
                        fmt::format("{}: bos, eos and unknown token ids: expected below {}, found {}, {}, {}",
                                    spec.where, count, spec.bos, spec.eos, spec.unknown));
    }
    std::vector<std::pair<std::string_view, int32_t>> vocabulary;
    vocabulary.reserve(t->tokens_.size());
    for (int32_t id = 0; id < count; ++id) {
      const TokenizerSpec::Token& token = t->tokens_[static_cast<size_t>(id)];
      if (token.kind == Kind::kNormal && !token.bytes.empty()) vocabulary.emplace_back(token.bytes, id);
    }
    TRY(t->bpe_, Bpe::make(vocabulary, spec.merges, count, {spec.ignore_merges, spec.unknown}, spec.where));
    TRY(t->pretokenizer_, Pretokenizer::make(std::move(spec.steps), spec.where));
    std::vector<AddedToken> raw;
    std::vector<AddedToken> normalized;
    for (AddedToken& token : spec.added) {
      if (token.id < 0 || token.id >= count || token.content.empty()) {
        return base::fail(Code::kCorrupt, fmt::format("{}: added token \"{}\": expected an id below {} and some text, "
                                                      "found id {}",
                                                      spec.where, token.content, count, token.id));
      }
      if (token.normalized && spec.nfc) token.content = nfc(token.content);
      (token.normalized ? normalized : raw).push_back(std::move(token));
    }
    t->added_ = AddedTokens(std::move(raw));
    t->added_normalized_ = AddedTokens(std::move(normalized));
    t->nfc_ = spec.nfc;
    t->bos_ = spec.bos;
    t->eos_ = spec.eos;
    t->adds_bos_ = spec.adds_bos && spec.bos >= 0;
    t->find_ends(spec.ends);
    return std::unique_ptr<Tokenizer>(std::move(t));
  }

  std::vector<int32_t> encode(std::string_view text, bool parse_special) const override {
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3 + 8);
    while (!text.empty()) {
      const size_t valid = base::utf8_valid_prefix(text);
      encode_valid(text.substr(0, valid), parse_special, &ids);
      text.remove_prefix(valid);
      // Bytes that aren't UTF-8 go in one by one: no merge may tie them to text that a model has seen.
      while (!text.empty() && base::utf8_valid_prefix(text) == 0) {
        bpe_->encode(text.substr(0, 1), &ids);
        text.remove_prefix(1);
      }
    }
    return ids;
  }

  std::string_view token_bytes(int32_t id) const override {
    return in_vocabulary(id) ? std::string_view(tokens_[static_cast<size_t>(id)].bytes) : std::string_view();
  }

  int vocab_size() const override { return static_cast<int>(tokens_.size()); }

  bool is_special(int32_t id) const override {
    if (!in_vocabulary(id)) return false;
    const Kind kind = tokens_[static_cast<size_t>(id)].kind;
    return kind == Kind::kControl || kind == Kind::kAbsent;
  }

  bool is_end(int32_t id) const override { return std::binary_search(ends_.begin(), ends_.end(), id); }
  int32_t bos() const override { return bos_; }
  int32_t eos() const override { return eos_; }
  bool adds_bos() const override { return adds_bos_; }

  int32_t find(std::string_view token) const override {
    const auto added = std::lower_bound(added_ids_.begin(), added_ids_.end(), token,
                                        [this](int32_t id, std::string_view s) { return token_bytes(id) < s; });
    if (added != added_ids_.end() && token_bytes(*added) == token) return *added;
    return bpe_->find(token);
  }

 private:
  BpeTokenizer() = default;

  bool in_vocabulary(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < tokens_.size(); }

  void find_ends(const std::vector<int32_t>& more) {
    for (int32_t id = 0; id < static_cast<int32_t>(tokens_.size()); ++id) {
      const TokenizerSpec::Token& token = tokens_[static_cast<size_t>(id)];
      if (token.kind == Kind::kAdded || token.kind == Kind::kControl) added_ids_.push_back(id);
      if (token.kind == Kind::kControl && std::count(kEndTokens.begin(), kEndTokens.end(), token.bytes) > 0) {
        ends_.push_back(id);
      }
    }
    for (const int32_t id : more) {
      if (in_vocabulary(id)) ends_.push_back(id);
    }
    if (eos_ >= 0) ends_.push_back(eos_);
    std::sort(ends_.begin(), ends_.end());
    ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
    std::sort(added_ids_.begin(), added_ids_.end(),
              [this](int32_t a, int32_t b) { return token_bytes(a) < token_bytes(b); });
  }

  void encode_valid(std::string_view text, bool parse_special, std::vector<int32_t>* ids) const {
    std::vector<Section> sections;
    std::vector<Section> inner;
    std::vector<std::string_view> pieces;
    std::string normal;
    added_.split(text, parse_special, &sections);
    for (const Section& section : sections) {
      if (section.id >= 0) {
        ids->push_back(section.id);
        continue;
      }
      std::string_view part = section.text;
      if (nfc_ && may_need_nfc(part)) {
        normal = nfc(part);
        part = normal;
      }
      inner.clear();
      added_normalized_.split(part, parse_special, &inner);
      for (const Section& stretch : inner) {
        if (stretch.id >= 0) {
          ids->push_back(stretch.id);
          continue;
        }
        pieces.clear();
        pretokenizer_->split(stretch.text, &pieces);
        for (const std::string_view piece : pieces) bpe_->encode(piece, ids);
      }
    }
  }

  std::vector<TokenizerSpec::Token> tokens_;
  std::unique_ptr<Bpe> bpe_;
  std::unique_ptr<Pretokenizer> pretokenizer_;
  AddedTokens added_;
  AddedTokens added_normalized_;
  std::vector<int32_t> added_ids_;  // by their text
  std::vector<int32_t> ends_;       // sorted
  bool nfc_ = false;
  int32_t bos_ = -1;
  int32_t eos_ = -1;
  bool adds_bos_ = false;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_tokenizer(TokenizerSpec spec) { return BpeTokenizer::make(std::move(spec)); }

bool looks_like_control(std::string_view token) noexcept {
  constexpr std::string_view kWideBar = "｜";
  const auto wrapped = [&](std::string_view bar) {
    return token.size() > 2 * bar.size() + 2 && token.front() == '<' && token.back() == '>' &&
           token.substr(1, bar.size()) == bar && token.substr(token.size() - 1 - bar.size(), bar.size()) == bar;
  };
  return wrapped("|") || wrapped(kWideBar);
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids, bool skip_special) const {
  std::string text;
  for (const int32_t id : ids) {
    if (!skip_special || !is_special(id)) text += token_bytes(id);
  }
  return text;
}

}  // namespace concerto::text
