#include "formats/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "formats/json_reader.h"
#include "formats/mapped_file.h"
#include "formats/printable.h"

namespace concerto::formats {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr size_t kMaxFileBytes = 1 << 20;  // real ones have a few KB
// Far above any published model; what is larger is a damaged file, and products of these must stay far from 2^63.
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxHeadDim = 4096;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxContext = 1 << 28;
constexpr size_t kMaxEosTokens = 256;

struct Architecture {
  std::string_view model_type;
  std::string_view class_name;
  bool always_qkv_bias;
};
constexpr Architecture kArchitectures[] = {
    {"qwen2", "Qwen2ForCausalLM", true},
    {"llama", "LlamaForCausalLM", false},
};

Status read_int(JsonReader& in, int64_t low, int64_t high, std::optional<int>* out) {
  TRY(const auto value, in.nullable(&JsonReader::int64));
  if (!value) return {};
  if (*value < low || *value > high)
    return in.error(Code::kCorrupt, fmt::format("a whole number from {} to {}", low, high), fmt::format("{}", *value));
  *out = static_cast<int>(*value);
  return {};
}

Status read_double(JsonReader& in, double low, double high, std::optional<double>* out) {
  TRY(const auto value, in.nullable(&JsonReader::number));
  if (!value) return {};
  if (*value < low || *value > high)
    return in.error(Code::kCorrupt, fmt::format("a number from {} to {}", low, high), fmt::format("{}", *value));
  *out = value;
  return {};
}

Status read_bool(JsonReader& in, std::optional<bool>* out) {
  TRY(*out, in.nullable(&JsonReader::boolean));
  return {};
}

// One id, a list of ids, or null.
Status read_token_ids(JsonReader& in, std::vector<int>* out) {
  TRY(const auto kind, in.peek());
  if (kind != JsonReader::Kind::kArray) {
    std::optional<int> id;
    TRY_STATUS(read_int(in, 0, kMaxVocab, &id));
    if (id) out->push_back(*id);
    return {};
  }
  return in.array([&](size_t index) -> Status {
    if (index >= kMaxEosTokens)
      return in.error(Code::kCorrupt, fmt::format("at most {} token ids", kMaxEosTokens), "more");
    std::optional<int> id;
    TRY_STATUS(read_int(in, 0, kMaxVocab, &id));
    if (!id) return in.error(Code::kCorrupt, "a token id", "null");
    out->push_back(*id);
    return {};
  });
}

// Refuses `true`; false and null ask for nothing.
Status refuse_if_true(JsonReader& in) {
  TRY(const auto value, in.nullable(&JsonReader::boolean));
  if (value.value_or(false)) return in.error(Code::kUnsupported, "false", "true");
  return {};
}

// rope_scaling (up to transformers 4) and rope_parameters (from 5): the plain rotary embedding only.
Status read_rope(JsonReader& in, std::optional<double>* theta) {
  TRY(const auto kind, in.peek());
  if (kind == JsonReader::Kind::kNull) return in.null();
  return in.object([&](std::string_view key) -> Status {
    if (key == "rope_type" || key == "type") {
      TRY(const auto type, in.nullable(&JsonReader::string));
      if (type && *type != "default")
        return in.error(Code::kUnsupported, "\"default\" or null", fmt::format("\"{}\"", printable(*type)));
      return {};
    }
    if (key == "rope_theta") return read_double(in, 1.0, 1e12, theta);
    if (key == "partial_rotary_factor") {
      TRY(const auto factor, in.nullable(&JsonReader::number));
      if (factor && *factor != 1.0) return in.error(Code::kUnsupported, "1", fmt::format("{}", *factor));
      return {};
    }
    return in.skip();
  });
}

// What config.json says, before defaults and the checks between fields.
struct Raw {
  std::optional<std::string> model_type;
  std::vector<std::string> architectures;
  std::optional<int> hidden_size;
  std::optional<int> num_hidden_layers;
  std::optional<int> num_attention_heads;
  std::optional<int> num_key_value_heads;
  std::optional<int> head_dim;
  std::optional<int> intermediate_size;
  std::optional<int> vocab_size;
  std::optional<int> max_position_embeddings;
  std::optional<double> rms_norm_eps;
  std::optional<double> rope_theta;
  std::optional<double> rope_parameters_theta;
  std::optional<bool> tie_word_embeddings;
  std::optional<bool> attention_bias;
  std::optional<int> bos_token_id;
  std::vector<int> eos_token_ids;
};

Status read_strings(JsonReader& in, std::vector<std::string>* out) {
  TRY(const auto kind, in.peek());
  if (kind == JsonReader::Kind::kNull) return in.null();
  return in.array([&](size_t) -> Status {
    TRY(std::string text, in.string());
    out->push_back(std::move(text));
    return {};
  });
}

Status read_size_field(JsonReader& in, std::string_view key, Raw* raw, bool* known) {
  const struct {
    std::string_view key;
    int64_t high;
    std::optional<int>* out;
  } fields[] = {
      {"hidden_size", kMaxWidth, &raw->hidden_size},
      {"num_hidden_layers", kMaxLayers, &raw->num_hidden_layers},
      {"num_attention_heads", kMaxHeads, &raw->num_attention_heads},
      {"num_key_value_heads", kMaxHeads, &raw->num_key_value_heads},
      {"head_dim", kMaxHeadDim, &raw->head_dim},
      {"intermediate_size", kMaxWidth, &raw->intermediate_size},
      {"vocab_size", kMaxVocab, &raw->vocab_size},
      {"max_position_embeddings", kMaxContext, &raw->max_position_embeddings},
  };
  for (const auto& field : fields) {
    if (field.key != key) continue;
    *known = true;
    return read_int(in, 1, field.high, field.out);
  }
  *known = false;
  return {};
}

Status read_field(JsonReader& in, std::string_view key, Raw* raw) {
  bool known = false;
  TRY_STATUS(read_size_field(in, key, raw, &known));
  if (known) return {};
  if (key == "model_type") {
    TRY(raw->model_type, in.nullable(&JsonReader::string));
    return {};
  }
  if (key == "architectures") return read_strings(in, &raw->architectures);
  if (key == "rms_norm_eps") return read_double(in, 1e-12, 0.1, &raw->rms_norm_eps);
  if (key == "rope_theta") return read_double(in, 1.0, 1e12, &raw->rope_theta);
  if (key == "rope_scaling" || key == "rope_parameters") return read_rope(in, &raw->rope_parameters_theta);
  if (key == "tie_word_embeddings") return read_bool(in, &raw->tie_word_embeddings);
  if (key == "attention_bias") return read_bool(in, &raw->attention_bias);
  if (key == "bos_token_id") return read_int(in, 0, kMaxVocab, &raw->bos_token_id);
  if (key == "eos_token_id") return read_token_ids(in, &raw->eos_token_ids);
  if (key == "use_sliding_window" || key == "use_mrope" || key == "mlp_bias" || key == "rope_interleaved")
    return refuse_if_true(in);
  if (key == "layer_types") {  // transformers 5 spells the windows out, layer by layer
    std::vector<std::string> types;
    TRY_STATUS(read_strings(in, &types));
    for (const auto& type : types) {
      if (type != "full_attention")
        return in.error(Code::kUnsupported, "\"full_attention\"", fmt::format("\"{}\"", printable(type)));
    }
    return {};
  }
  if (key == "hidden_act") {
    TRY(const auto activation, in.nullable(&JsonReader::string));
    if (activation && *activation != "silu")
      return in.error(Code::kUnsupported, "\"silu\"", fmt::format("\"{}\"", printable(*activation)));
    return {};
  }
  if (key == "quantization_config") {
    TRY(const auto kind, in.peek());
    if (kind != JsonReader::Kind::kNull)
      return in.error(Code::kUnsupported, "F32, F16 or BF16 weights", "a quantised checkpoint");
    return in.null();
  }
  return in.skip();
}

// Each key once: JSON readers disagree on which of two counts.
template <class F>
Status read_members(JsonReader& in, F&& field) {
  std::vector<std::string> seen;
  const Status read = in.object([&](std::string_view key) -> Status {
    if (seen.size() >= 4096) return in.error(Code::kCorrupt, "at most 4096 fields", "more");
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) return in.error(Code::kCorrupt, "once", "twice");
    seen.emplace_back(key);
    return field(key);
  });
  TRY_STATUS(read);
  return in.end();
}

Result<const Architecture*> find_architecture(const Raw& raw, const std::string& name) {
  std::string known;
  for (const auto& a : kArchitectures) known += fmt::format("{}{}", known.empty() ? "" : ", ", a.model_type);
  const std::string class_name = raw.architectures.empty() ? std::string() : raw.architectures.front();
  if (!raw.model_type && class_name.empty())
    return base::fail(Code::kCorrupt, fmt::format("{}: model_type: expected one of {}, found nothing", name, known),
                      "model_type");
  for (const auto& a : kArchitectures) {
    if (raw.model_type ? *raw.model_type != a.model_type : class_name != a.class_name) continue;
    if (!class_name.empty() && class_name != a.class_name)
      return base::fail(
          Code::kUnsupported,
          fmt::format("{}: architectures: expected \"{}\", found \"{}\"", name, a.class_name, printable(class_name)),
          "architectures");
    return &a;
  }
  return base::fail(Code::kUnsupported,
                    fmt::format("{}: model_type: expected one of {}, found \"{}\"", name, known,
                                printable(raw.model_type ? *raw.model_type : class_name)),
                    "model_type");
}

Result<HfConfig> finish(Raw&& raw, const std::string& name) {
  const auto wrong = [&](std::string_view field, std::string_view expected, const std::string& found) {
    return base::fail(Code::kCorrupt, fmt::format("{}: {}: expected {}, found {}", name, field, expected, found),
                      std::string(field));
  };
  TRY(const Architecture* architecture, find_architecture(raw, name));
  const std::pair<std::string_view, std::optional<int>*> required[] = {
      {"hidden_size", &raw.hidden_size},
      {"num_hidden_layers", &raw.num_hidden_layers},
      {"num_attention_heads", &raw.num_attention_heads},
      {"intermediate_size", &raw.intermediate_size},
      {"vocab_size", &raw.vocab_size},
      {"max_position_embeddings", &raw.max_position_embeddings},
  };
  for (const auto& [field, value] : required) {
    if (!*value) return wrong(field, "a whole number", "nothing");
  }
  HfConfig out;
  out.model_type = architecture->model_type;
  out.hidden_size = *raw.hidden_size;
  out.num_hidden_layers = *raw.num_hidden_layers;
  out.num_attention_heads = *raw.num_attention_heads;
  out.num_key_value_heads = raw.num_key_value_heads.value_or(out.num_attention_heads);
  out.intermediate_size = *raw.intermediate_size;
  out.vocab_size = *raw.vocab_size;
  out.max_position_embeddings = *raw.max_position_embeddings;
  out.rms_norm_eps = raw.rms_norm_eps.value_or(out.rms_norm_eps);
  if (raw.rope_theta && raw.rope_parameters_theta && *raw.rope_theta != *raw.rope_parameters_theta)
    return wrong("rope_theta", fmt::format("the {} of rope_parameters", *raw.rope_parameters_theta),
                 fmt::format("{}", *raw.rope_theta));
  out.rope_theta = raw.rope_theta ? *raw.rope_theta : raw.rope_parameters_theta.value_or(out.rope_theta);
  out.tie_word_embeddings = raw.tie_word_embeddings.value_or(false);
  out.bos_token_id = raw.bos_token_id;
  out.eos_token_ids = std::move(raw.eos_token_ids);
  out.qkv_bias = architecture->always_qkv_bias;
  // With this flag llama also has a bias at the output projection, which the engine does not add.
  if (!architecture->always_qkv_bias && raw.attention_bias.value_or(false))
    return base::fail(Code::kUnsupported, fmt::format("{}: attention_bias: expected false, found true", name),
                      "attention_bias");
  if (out.num_attention_heads % out.num_key_value_heads != 0)
    return wrong("num_key_value_heads", fmt::format("a divisor of num_attention_heads {}", out.num_attention_heads),
                 fmt::format("{}", out.num_key_value_heads));
  if (!raw.head_dim && out.hidden_size % out.num_attention_heads != 0)
    return wrong("hidden_size", fmt::format("a multiple of num_attention_heads {}", out.num_attention_heads),
                 fmt::format("{}", out.hidden_size));
  out.head_dim = raw.head_dim.value_or(out.hidden_size / out.num_attention_heads);
  if (out.head_dim % 2 != 0) return wrong("head_dim", "an even number", fmt::format("{}", out.head_dim));
  return out;
}

template <class T>
Result<T> read_file(const std::string& path, Result<T> (*parse)(std::string_view, const std::string&)) {
  TRY(const auto file, MappedFile::open(path));
  const auto bytes = file->bytes();
  if (bytes.size() > kMaxFileBytes)
    return base::fail(Code::kTooLarge,
                      fmt::format("{}: expected at most {} bytes, found {}", path, kMaxFileBytes, bytes.size()));
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

}  // namespace

Result<HfConfig> parse_hf_config(std::string_view json, const std::string& name) {
  JsonReader in(json, name);
  Raw raw;
  TRY_STATUS(read_members(in, [&](std::string_view key) { return read_field(in, key, &raw); }));
  return finish(std::move(raw), name);
}

Result<HfGenerationConfig> parse_hf_generation_config(std::string_view json, const std::string& name) {
  JsonReader in(json, name);
  HfGenerationConfig out;
  const Status read = read_members(in, [&](std::string_view key) -> Status {
    if (key == "do_sample") return read_bool(in, &out.do_sample);
    if (key == "temperature") return read_double(in, 0.0, 100.0, &out.temperature);
    if (key == "top_p") return read_double(in, 0.0, 1.0, &out.top_p);
    if (key == "min_p") return read_double(in, 0.0, 1.0, &out.min_p);
    if (key == "top_k") return read_int(in, 0, kMaxVocab, &out.top_k);
    if (key == "repetition_penalty") return read_double(in, 1e-3, 1e3, &out.repetition_penalty);
    if (key == "bos_token_id") return read_int(in, 0, kMaxVocab, &out.bos_token_id);
    if (key == "eos_token_id") return read_token_ids(in, &out.eos_token_ids);
    return in.skip();
  });
  TRY_STATUS(read);
  return out;
}

Result<HfConfig> read_hf_config(const std::string& path) { return read_file<HfConfig>(path, parse_hf_config); }

Result<HfGenerationConfig> read_hf_generation_config(const std::string& path) {
  return read_file<HfGenerationConfig>(path, parse_hf_generation_config);
}

}  // namespace concerto::formats
