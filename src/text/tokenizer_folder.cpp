// Tokenizer::from_folder: tokenizer.json as Hugging Face `tokenizers` writes it, and what tokenizer_config.json and
// generation_config.json say of the tokens that begin and end a text.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/json_file.h"
#include "text/tokenizer_spec.h"

namespace concerto::text {
namespace {

using base::Code;
using base::Result;
using base::Status;
using nlohmann::json;
using Kind = TokenizerSpec::Kind;

constexpr json::value_t kString = json::value_t::string;

// The member `name` of an object, or null.
const json& member(const json& object, const char* name) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

bool flag(const json& object, const char* name, bool fallback) {
  const json& value = member(object, name);
  return value.is_boolean() ? value.get<bool>() : fallback;
}

std::string text_of(const json& value) { return value.type() == kString ? value.get<std::string>() : std::string(); }

base::Error unsupported(const TokenizerSpec& spec, const char* key, std::string_view expected, std::string_view found) {
  return {Code::kUnsupported, fmt::format("{}: {}: expected {}, found {}", spec.where, key, expected, found), {}};
}

base::Error corrupt(const TokenizerSpec& spec, std::string_view key, std::string_view expected) {
  return {Code::kCorrupt, fmt::format("{}: {}: expected {}", spec.where, key, expected), {}};
}

Result<int32_t> token_id(const TokenizerSpec& spec, const json& value, std::string_view key) {
  if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > kMaxTokenId) {
    return tl::make_unexpected(corrupt(spec, key, fmt::format("an id from 0 to {}", kMaxTokenId)));
  }
  return static_cast<int32_t>(value.get<int64_t>());
}

TokenizerSpec::Token& slot(TokenizerSpec* spec, int32_t id) {
  if (static_cast<size_t>(id) >= spec->tokens.size()) spec->tokens.resize(static_cast<size_t>(id) + 1);
  return spec->tokens[static_cast<size_t>(id)];
}

Status read_normalizer(const json& node, TokenizerSpec* spec) {
  if (node.is_null()) return {};
  const std::string type = text_of(member(node, "type"));
  if (type == "NFC") {
    spec->nfc = true;
    return {};
  }
  if (type == "Sequence") {
    for (const json& part : member(node, "normalizers")) TRY_STATUS(read_normalizer(part, spec));
    return {};
  }
  return tl::make_unexpected(unsupported(*spec, "normalizer.type", "NFC or Sequence", type));
}

// A pattern is {"Regex": r} or {"String": s}; the latter is matched letter by letter.
std::string pattern_of(const json& node) {
  const json& regex = member(node, "Regex");
  if (regex.is_string()) return regex.get<std::string>();
  std::string quoted;
  for (const char c : text_of(member(node, "String"))) {
    if (static_cast<unsigned char>(c) < 0x80 && std::isalnum(static_cast<unsigned char>(c)) == 0) quoted += '\\';
    quoted += c;
  }
  return quoted;
}

Status read_pretokenizer(const json& node, TokenizerSpec* spec) {
  if (node.is_null()) return {};
  const std::string type = text_of(member(node, "type"));
  if (type == "Sequence") {
    for (const json& part : member(node, "pretokenizers")) TRY_STATUS(read_pretokenizer(part, spec));
    return {};
  }
  SplitStep step;
  if (type == "ByteLevel") {
    if (flag(node, "add_prefix_space", true)) {
      return tl::make_unexpected(unsupported(*spec, "pre_tokenizer.add_prefix_space", "false", "true"));
    }
    if (!flag(node, "use_regex", true)) return {};
    step.pattern = kGpt2Pattern;
  } else if (type == "Digits") {
    step.kind = SplitStep::kDigits;
    step.each_digit = flag(node, "individual_digits", false);
  } else if (type == "Split") {
    const std::string behavior = text_of(member(node, "behavior"));
    if (behavior != "Isolated" && behavior != "Removed") {
      return tl::make_unexpected(unsupported(*spec, "pre_tokenizer.behavior", "Isolated or Removed", behavior));
    }
    step.drop = behavior == "Removed";
    step.invert = flag(node, "invert", false);
    step.pattern = pattern_of(member(node, "pattern"));
    if (step.pattern.empty()) {
      return tl::make_unexpected(corrupt(*spec, "pre_tokenizer.pattern", "a Regex or a String"));
    }
  } else {
    return tl::make_unexpected(unsupported(*spec, "pre_tokenizer.type", "Split, ByteLevel, Digits or Sequence", type));
  }
  spec->steps.push_back(std::move(step));
  return {};
}

Result<std::pair<std::string, std::string>> read_merge(const TokenizerSpec& spec, const json& node, size_t rank) {
  std::string left;
  std::string right;
  if (node.is_array() && node.size() == 2) {
    left = text_of(node[0]);
    right = text_of(node[1]);
  } else if (node.is_string()) {
    const std::string text = node.get<std::string>();
    const size_t space = text.find(' ', 1);
    if (space != std::string::npos) {
      left = text.substr(0, space);
      right = text.substr(space + 1);
    }
  }
  auto left_bytes = bytes_of_entry(left);
  auto right_bytes = bytes_of_entry(right);
  if (!left_bytes || !right_bytes || left_bytes->empty() || right_bytes->empty()) {
    return tl::make_unexpected(
        corrupt(spec, fmt::format("model.merges[{}]", rank), "two words of the byte-level alphabet"));
  }
  return std::pair(*std::move(left_bytes), *std::move(right_bytes));
}

Status read_model(const json& model, TokenizerSpec* spec) {
  const std::string type = text_of(member(model, "type"));
  if (type != "BPE") return tl::make_unexpected(unsupported(*spec, "model.type", "BPE", type));
  if (flag(model, "byte_fallback", false)) {
    return tl::make_unexpected(unsupported(*spec, "model.byte_fallback", "false (byte-level BPE)", "true"));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const std::string value = text_of(member(model, key)); !value.empty()) {
      return tl::make_unexpected(unsupported(*spec, key, "none", value));
    }
  }
  spec->ignore_merges = flag(model, "ignore_merges", false);
  const json& vocab = member(model, "vocab");
  const json& merges = member(model, "merges");
  if (!vocab.is_object() || vocab.empty()) return tl::make_unexpected(corrupt(*spec, "model.vocab", "an object"));
  if (!merges.is_array()) return tl::make_unexpected(corrupt(*spec, "model.merges", "an array"));
  for (const auto& [entry, value] : vocab.items()) {
    TRY(const int32_t id, token_id(*spec, value, "model.vocab"));
    auto bytes = bytes_of_entry(entry);
    slot(spec, id) = {bytes ? *std::move(bytes) : entry, Kind::kNormal};
  }
  if (const std::string unknown = text_of(member(model, "unk_token")); !unknown.empty()) {
    if (const auto found = vocab.find(unknown); found != vocab.end()) {
      TRY(spec->unknown, token_id(*spec, *found, "model.unk_token"));
    }
  }
  spec->merges.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    TRY(auto merge, read_merge(*spec, merges[rank], rank));
    spec->merges.push_back(std::move(merge));
  }
  return {};
}

Status read_added_tokens(const json& list, TokenizerSpec* spec) {
  if (list.is_null()) return {};
  if (!list.is_array()) return tl::make_unexpected(corrupt(*spec, "added_tokens", "an array"));
  for (const json& node : list) {
    AddedToken added;
    added.content = text_of(member(node, "content"));
    if (added.content.empty()) return tl::make_unexpected(corrupt(*spec, "added_tokens.content", "some text"));
    TRY(added.id, token_id(*spec, member(node, "id"), "added_tokens.id"));
    added.special = flag(node, "special", false) || looks_like_control(added.content);
    added.normalized = flag(node, "normalized", !added.special);
    added.single_word = flag(node, "single_word", false);
    added.lstrip = flag(node, "lstrip", false);
    added.rstrip = flag(node, "rstrip", false);
    slot(spec, added.id) = {added.content, added.special ? Kind::kControl : Kind::kAdded};
    spec->added.push_back(std::move(added));
  }
  return {};
}

// A token named in tokenizer_config.json: "text", {"content": "text"} or null. -1 when it isn't in the vocabulary.
int32_t named_token(const TokenizerSpec& spec, const json& value) {
  const std::string text = value.is_object() ? text_of(member(value, "content")) : text_of(value);
  if (text.empty()) return -1;
  for (const AddedToken& added : spec.added) {
    if (added.content == text) return added.id;
  }
  const auto found = std::find_if(spec.tokens.begin(), spec.tokens.end(),
                                  [&](const TokenizerSpec::Token& t) { return t.bytes == text; });
  return found == spec.tokens.end() ? -1 : static_cast<int32_t>(found - spec.tokens.begin());
}

// The token that a TemplateProcessing post-processor puts in front of a text, or none.
std::string leading_token(const json& node) {
  const std::string type = text_of(member(node, "type"));
  if (type == "Sequence") {
    for (const json& part : member(node, "processors")) {
      if (std::string found = leading_token(part); !found.empty()) return found;
    }
  }
  const json& single = member(node, "single");
  if (type != "TemplateProcessing" || !single.is_array() || single.empty()) return {};
  return text_of(member(member(single[0], "SpecialToken"), "id"));
}

void read_generation_ends(const json& config, TokenizerSpec* spec) {
  const json& eos = member(config, "eos_token_id");
  const auto add = [&](const json& value) {
    if (value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() <= kMaxTokenId) {
      spec->ends.push_back(static_cast<int32_t>(value.get<int64_t>()));
    }
  };
  if (eos.is_array()) {
    for (const json& value : eos) add(value);
  } else {
    add(eos);
  }
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_folder(const std::string& folder) {
  TokenizerSpec spec;
  spec.where = folder + "/tokenizer.json";
  TRY(const json file, read_json_file(spec.where));
  TRY_STATUS(read_model(member(file, "model"), &spec));
  TRY_STATUS(read_added_tokens(member(file, "added_tokens"), &spec));
  TRY_STATUS(read_normalizer(member(file, "normalizer"), &spec));
  TRY_STATUS(read_pretokenizer(member(file, "pre_tokenizer"), &spec));

  const std::string leading = leading_token(member(file, "post_processor"));
  spec.adds_bos = !leading.empty();
  if (!leading.empty()) spec.bos = named_token(spec, json(leading));
  // Both are optional: a folder with tokenizer.json alone still encodes.
  auto config = read_json_file(folder + "/tokenizer_config.json");
  if (!config && config.error().code != Code::kNotFound) return tl::make_unexpected(config.error());
  if (config) {
    if (const int32_t bos = named_token(spec, member(*config, "bos_token")); bos >= 0) spec.bos = bos;
    spec.eos = named_token(spec, member(*config, "eos_token"));
    spec.adds_bos = flag(*config, "add_bos_token", spec.adds_bos);
  }
  auto generation = read_json_file(folder + "/generation_config.json");
  if (!generation && generation.error().code != Code::kNotFound) return tl::make_unexpected(generation.error());
  if (generation) read_generation_ends(*generation, &spec);
  return make_tokenizer(std::move(spec));
}

}  // namespace concerto::text
