// ModelConfig: the shape of a decoder-only transformer, read from GGUF metadata or config.json, checked on reading.
#pragma once

#include <cstdint>
#include <string>

namespace concerto::model {

struct ModelConfig {
  std::string arch;    // "qwen2", "llama": the row of arch/registry
  std::string name;    // for people: general.name, or the folder's name
  int n_layers = 0;    // L
  int n_embd = 0;      // D
  int n_heads = 0;     // H
  int n_kv_heads = 0;  // G
  int head_dim = 0;    // K
  int n_ff = 0;        // F
  int n_vocab = 0;     // V: rows of the head
  int n_context = 0;   // C: trained context
  float rms_eps = 1e-6F;
  double rope_base = 10000.0;
  bool rope_neox = true;   // see kernels.h rope
  bool qkv_bias = false;   // qwen2
  bool tied_head = false;  // the head is the embedding matrix
};

}  // namespace concerto::model
