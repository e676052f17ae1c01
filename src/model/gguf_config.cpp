#include "model/gguf_config.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "formats/printable.h"
#include "model/arch/registry.h"
#include "model/config_check.h"

namespace concerto::model {
namespace {

using base::Code;
using base::Result;
using base::Status;

// Reads "<arch>.<key>" of one file.
class Settings {
 public:
  Settings(const formats::Gguf& file, std::string_view arch) : file_(file), prefix_(fmt::format("{}.", arch)) {}

  [[nodiscard]] std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  [[nodiscard]] bool has(std::string_view name) const { return file_.has(key(name)); }

  Result<int> integer(std::string_view name, int most) const {
    TRY(const uint64_t value, file_.get_uint(key(name)));
    return bounded(file_.path(), key(name), value, most);
  }
  Result<int> integer_or(std::string_view name, int most, int otherwise) const {
    if (!has(name)) return otherwise;
    return integer(name, most);
  }
  Result<double> number_or(std::string_view name, double otherwise) const {
    if (!has(name)) return otherwise;
    return file_.get_float(key(name));
  }
  [[nodiscard]] tl::unexpected<base::Error> unsupported(std::string_view name, const std::string& what) const {
    return base::fail(Code::kUnsupported, fmt::format("{}: {}: {}", file_.path(), key(name), what));
  }
  Status needs_head_dim(std::string_view name, int head_dim) const {
    TRY(const int found, integer_or(name, kMaxEmbd, head_dim));
    if (found != head_dim) return unsupported(name, fmt::format("expected {} (K), found {}", head_dim, found));
    return {};
  }

 private:
  const formats::Gguf& file_;
  std::string prefix_;
};

Status check_rope(const formats::Gguf& file, const Settings& settings, int head_dim) {
  TRY_STATUS(settings.needs_head_dim("rope.dimension_count", head_dim));
  if (settings.has("rope.scaling.type")) {
    TRY(const auto type, file.get_string(settings.key("rope.scaling.type")));
    if (type != "none") return settings.unsupported("rope.scaling.type", fmt::format("expected none, found {}", type));
  }
  for (const auto* name : {"rope.scaling.factor", "rope.scale_linear"}) {
    TRY(const double factor, settings.number_or(name, 1));
    if (factor != 1) return settings.unsupported(name, fmt::format("expected 1, found {}", factor));
  }
  if (file.find("rope_freqs.weight") != nullptr)
    return base::fail(Code::kUnsupported,
                      fmt::format("{}: rope_freqs.weight: expected none (rope scaling), found one", file.path()));
  return {};
}

}  // namespace

Result<const Architecture*> architecture_of(const formats::Gguf& file) {
  TRY(const auto name, file.get_string("general.architecture"));
  const auto* architecture = find_architecture(name);
  if (architecture == nullptr)
    return base::fail(Code::kUnsupported, fmt::format("{}: general.architecture: expected one of {}, found {}",
                                                      file.path(), architecture_names(), formats::printable(name)));
  return architecture;
}

Result<ModelConfig> config_from_gguf(const formats::Gguf& file, const Architecture& architecture) {
  const Settings settings(file, architecture.name);
  ModelConfig config;
  config.arch = architecture.name;
  config.name = file.path();
  if (file.has("general.name")) {
    TRY(const auto name, file.get_string("general.name"));
    config.name = name;
  }
  TRY(config.n_layers, settings.integer("block_count", kMaxLayers));
  TRY(config.n_embd, settings.integer("embedding_length", kMaxEmbd));
  TRY(config.n_ff, settings.integer("feed_forward_length", kMaxFf));
  TRY(config.n_heads, settings.integer("attention.head_count", kMaxHeads));
  TRY(config.n_kv_heads, settings.integer_or("attention.head_count_kv", kMaxHeads, config.n_heads));
  TRY(config.n_context, settings.integer("context_length", kMaxContext));
  TRY(config.head_dim, settings.integer_or("attention.key_length", kMaxHeadDim, config.n_embd / config.n_heads));
  TRY_STATUS(settings.needs_head_dim("attention.value_length", config.head_dim));
  TRY(const double eps, file.get_float(settings.key("attention.layer_norm_rms_epsilon")));
  config.rms_eps = static_cast<float>(eps);
  TRY(config.rope_base, settings.number_or("rope.freq_base", 10000));
  TRY_STATUS(check_rope(file, settings, config.head_dim));
  TRY(const int window, settings.integer_or("attention.sliding_window", kMaxContext, 0));
  if (window != 0 && window < config.n_context)
    return settings.unsupported("attention.sliding_window", fmt::format("expected none, found {}", window));

  config.rope_neox = architecture.gguf_rope_neox;
  config.qkv_bias = architecture.qkv_bias;
  config.tied_head = file.find(architecture.gguf.head) == nullptr;
  TRY(config.n_vocab, vocab_rows(file, architecture.gguf.embedding));
  TRY_STATUS(check_config(config, file.path()));
  return config;
}

}  // namespace concerto::model
