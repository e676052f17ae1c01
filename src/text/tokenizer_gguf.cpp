// Tokenizer::from_gguf: the metadata keys tokenizer.ggml.* (github.com/ggml-org/ggml docs/gguf.md).
#include <fmt/format.h>

#include <utility>

#include "text/byte_alphabet.h"
#include "text/tokenizer_spec.h"

namespace concerto::text {
namespace {

using base::Code;
using base::Error;
using base::Result;
using Kind = TokenizerSpec::Kind;

// tokenizer.ggml.token_type
enum GgufType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

// The id under `key`, or -1 without such a key.
Result<int32_t> optional_id(const formats::Gguf& file, std::string_view key, size_t count) {
  if (!file.has(key)) return -1;
  TRY(const uint64_t id, file.get_uint(key));
  if (id >= count) {
    return base::fail(Code::kCorrupt,
                      fmt::format("{}: {}: expected an id below {}, found {}", file.path(), key, count, id));
  }
  return static_cast<int32_t>(id);
}

Result<std::pair<std::string, std::string>> parse_merge(std::string_view merge, size_t rank, std::string_view path) {
  const size_t space = merge.find(' ', 1);
  if (!merge.empty() && space != std::string_view::npos) {
    auto left = bytes_of_entry(merge.substr(0, space));
    auto right = bytes_of_entry(merge.substr(space + 1));
    if (left && right && !right->empty()) return std::pair(*std::move(left), *std::move(right));
  }
  return base::fail(Code::kCorrupt,
                    fmt::format("{}: tokenizer.ggml.merges[{}]: expected two words of the byte alphabet, found \"{}\"",
                                path, rank, merge.substr(0, 80)));
}

TokenizerSpec::Token make_token(std::string_view text, int64_t type) {
  TokenizerSpec::Token token;
  switch (type) {
    case kControl:
    case kUnknown:
      token = {std::string(text), Kind::kControl};
      break;
    case kUserDefined:
      token = {std::string(text), looks_like_control(text) ? Kind::kControl : Kind::kAdded};
      break;
    case kUnused:
      break;
    default: {
      auto bytes = bytes_of_entry(text);
      token = {bytes ? *std::move(bytes) : std::string(text), Kind::kNormal};
    }
  }
  return token;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_gguf(const formats::Gguf& file) {
  TokenizerSpec spec;
  spec.where = std::string(file.path());
  TRY(const std::string_view model, file.get_string("tokenizer.ggml.model"));
  if (model != "gpt2") {
    return base::fail(
        Code::kUnsupported,
        fmt::format("{}: tokenizer.ggml.model: expected gpt2 (byte-level BPE), found {}", spec.where, model));
  }
  std::string_view pre = "default";
  if (file.has("tokenizer.ggml.pre")) {
    TRY(pre, file.get_string("tokenizer.ggml.pre"));
  }
  auto steps = steps_of_gguf_pre(pre);
  if (!steps) {
    return base::fail(steps.error().code, fmt::format("{}: {}", spec.where, steps.error().message));
  }
  spec.steps = *std::move(steps);
  // GGUF doesn't say which normalizer the model has; these families' tokenizer.json files have NFC.
  spec.nfc = pre == "qwen2" || pre == "deepseek-r1-qwen";
  const bool llama3 = pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3";
  spec.ignore_merges = llama3;

  TRY(const std::vector<std::string_view> texts, file.get_strings("tokenizer.ggml.tokens"));
  if (texts.empty() || texts.size() > static_cast<size_t>(kMaxTokenId)) {
    return base::fail(Code::kCorrupt, fmt::format("{}: tokenizer.ggml.tokens: expected 1 to {} tokens, found {}",
                                                  spec.where, kMaxTokenId, texts.size()));
  }
  std::vector<int64_t> types(texts.size(), kNormal);
  if (file.has("tokenizer.ggml.token_type")) {
    TRY(types, file.get_ints("tokenizer.ggml.token_type"));
    if (types.size() != texts.size()) {
      return base::fail(Code::kCorrupt, fmt::format("{}: tokenizer.ggml.token_type: expected {} values, found {}",
                                                    spec.where, texts.size(), types.size()));
    }
  }
  spec.tokens.reserve(texts.size());
  for (size_t id = 0; id < texts.size(); ++id) {
    spec.tokens.push_back(make_token(texts[id], types[id]));
    const TokenizerSpec::Token& token = spec.tokens.back();
    if ((token.kind == Kind::kAdded || token.kind == Kind::kControl) && !token.bytes.empty()) {
      AddedToken added;
      added.content = token.bytes;
      added.id = static_cast<int32_t>(id);
      added.special = token.kind == Kind::kControl;
      spec.added.push_back(std::move(added));
    }
  }

  TRY(const std::vector<std::string_view> merges, file.get_strings("tokenizer.ggml.merges"));
  spec.merges.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    TRY(auto merge, parse_merge(merges[rank], rank, spec.where));
    spec.merges.push_back(std::move(merge));
  }

  TRY(spec.bos, optional_id(file, "tokenizer.ggml.bos_token_id", texts.size()));
  TRY(spec.eos, optional_id(file, "tokenizer.ggml.eos_token_id", texts.size()));
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    TRY(const int32_t id, optional_id(file, key, texts.size()));
    if (id >= 0) spec.ends.push_back(id);
  }
  spec.adds_bos = llama3;
  if (file.has("tokenizer.ggml.add_bos_token")) {
    TRY(spec.adds_bos, file.get_bool("tokenizer.ggml.add_bos_token"));
  }
  return make_tokenizer(std::move(spec));
}

}  // namespace concerto::text
