#include "model/folder_config.h"

#include <fmt/format.h>

#include <filesystem>

#include "model/config_check.h"

namespace concerto::model {

base::Result<ModelConfig> config_from_folder(const std::string& folder, const formats::HfConfig& settings,
                                             const formats::TensorFile& weights, const Architecture& architecture) {
  ModelConfig config;
  config.arch = architecture.name;
  const auto path = std::filesystem::path(folder);
  config.name = (path.has_filename() ? path : path.parent_path()).filename().string();
  config.n_layers = settings.num_hidden_layers;
  config.n_embd = settings.hidden_size;
  config.n_heads = settings.num_attention_heads;
  config.n_kv_heads = settings.num_key_value_heads;
  config.head_dim = settings.head_dim;
  config.n_ff = settings.intermediate_size;
  config.n_context = settings.max_position_embeddings;
  config.rms_eps = static_cast<float>(settings.rms_norm_eps);
  config.rope_base = settings.rope_theta;
  config.rope_neox = true;
  config.qkv_bias = settings.qkv_bias;
  config.tied_head = settings.tie_word_embeddings;
  TRY(config.n_vocab, vocab_rows(weights, architecture.folder.embedding));
  if (config.n_vocab != settings.vocab_size)
    return base::fail(base::Code::kCorrupt,
                      fmt::format("{}: {}: expected {} rows (vocab_size of config.json), found {}", weights.path(),
                                  architecture.folder.embedding, settings.vocab_size, config.n_vocab));
  TRY_STATUS(check_config(config, folder));
  return config;
}

}  // namespace concerto::model
