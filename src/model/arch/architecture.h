// Architecture: what distinguishes one family of decoder-only transformers from another, as data.
//
// All of them run the same decoder (model/decoder): norm, attention with rotary positions, norm, gated MLP. A row says
// how the files name the tensors and the settings, which biases there are and which pairs the rotation turns. Adding
// one: a file arch/NAME.cpp that defines the row, and a line in arch/registry.cpp.
#pragma once

#include <string_view>

namespace concerto::model {

// Tensor names; "{}" stands for the layer's number. An empty name: this architecture has no such tensor.
struct TensorNames {
  std::string_view embedding;   // [V, D]
  std::string_view head;        // [V, D]; absent from the file when tied to the embedding
  std::string_view final_norm;  // [D]
  std::string_view attn_norm;   // [D]
  std::string_view q, k, v;     // [H*K, D], [G*K, D], [G*K, D]
  std::string_view q_bias, k_bias, v_bias;
  std::string_view o;         // [D, H*K]
  std::string_view ffn_norm;  // [D]
  std::string_view gate, up;  // [F, D]
  std::string_view down;      // [D, F]
};

struct Architecture {
  std::string_view name;  // general.architecture of GGUF and model_type of config.json
  TensorNames gguf;
  TensorNames folder;
  bool qkv_bias = false;
  bool gguf_rope_neox = true;  // rotation pairs in a GGUF file, see kernels.h rope; a folder's are always (i, i + K/2)
};

// The naming that Llama started and Qwen2 took over, in its GGUF and its Hugging Face spelling.
inline constexpr TensorNames kLlamaGgufNames = {
    .embedding = "token_embd.weight",
    .head = "output.weight",
    .final_norm = "output_norm.weight",
    .attn_norm = "blk.{}.attn_norm.weight",
    .q = "blk.{}.attn_q.weight",
    .k = "blk.{}.attn_k.weight",
    .v = "blk.{}.attn_v.weight",
    .q_bias = "blk.{}.attn_q.bias",
    .k_bias = "blk.{}.attn_k.bias",
    .v_bias = "blk.{}.attn_v.bias",
    .o = "blk.{}.attn_output.weight",
    .ffn_norm = "blk.{}.ffn_norm.weight",
    .gate = "blk.{}.ffn_gate.weight",
    .up = "blk.{}.ffn_up.weight",
    .down = "blk.{}.ffn_down.weight",
};

inline constexpr TensorNames kLlamaFolderNames = {
    .embedding = "model.embed_tokens.weight",
    .head = "lm_head.weight",
    .final_norm = "model.norm.weight",
    .attn_norm = "model.layers.{}.input_layernorm.weight",
    .q = "model.layers.{}.self_attn.q_proj.weight",
    .k = "model.layers.{}.self_attn.k_proj.weight",
    .v = "model.layers.{}.self_attn.v_proj.weight",
    .q_bias = "model.layers.{}.self_attn.q_proj.bias",
    .k_bias = "model.layers.{}.self_attn.k_proj.bias",
    .v_bias = "model.layers.{}.self_attn.v_proj.bias",
    .o = "model.layers.{}.self_attn.o_proj.weight",
    .ffn_norm = "model.layers.{}.post_attention_layernorm.weight",
    .gate = "model.layers.{}.mlp.gate_proj.weight",
    .up = "model.layers.{}.mlp.up_proj.weight",
    .down = "model.layers.{}.mlp.down_proj.weight",
};

}  // namespace concerto::model
