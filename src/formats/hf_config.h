// HfConfig and HfGenerationConfig: config.json and generation_config.json of a Hugging Face model folder, as plain
// data.
//
// Fields: github.com/huggingface/transformers, models/qwen2 and models/llama configuration_*.py. Reading is strict: a
// wrong type, a negative or absurd size, or a field given twice is kCorrupt; what the file asks for and this engine
// cannot do (another architecture, scaled RoPE, sliding windows, quantised checkpoints) is kUnsupported. A field this
// reader does not know is ignored, null counts as absent. Functions are pure apart from reading the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace concerto::formats {

struct HfConfig {
  std::string model_type;  // "qwen2", "llama"
  int hidden_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;  // absent in the file: num_attention_heads
  int head_dim = 0;             // absent: hidden_size / num_attention_heads
  int intermediate_size = 0;
  int vocab_size = 0;
  int max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;  // qwen2: always, its files do not say it
  std::optional<int> bos_token_id;
  std::vector<int> eos_token_ids;  // empty when the file does not say
};

struct HfGenerationConfig {
  std::optional<bool> do_sample;
  std::optional<double> temperature;  // >= 0
  std::optional<double> top_p;        // [0, 1]
  std::optional<double> min_p;        // [0, 1]
  std::optional<int> top_k;           // 0: off
  std::optional<double> repetition_penalty;
  std::optional<int> bos_token_id;
  std::vector<int> eos_token_ids;  // empty when the file does not say
};

// `name` stands for the file in errors.
base::Result<HfConfig> parse_hf_config(std::string_view json, const std::string& name);
base::Result<HfGenerationConfig> parse_hf_generation_config(std::string_view json, const std::string& name);

// Reads a file of at most 1 MB; kNotFound when it does not exist.
base::Result<HfConfig> read_hf_config(const std::string& path);
base::Result<HfGenerationConfig> read_hf_generation_config(const std::string& path);

}  // namespace concerto::formats
