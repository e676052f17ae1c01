// ModelCost: what a forward pass must at least read and multiply, from the header of a GGUF file.
//
// The roofline: a pass of T tokens takes at least max(bytes / memory bandwidth, MACs / int8 rate). Attention's own
// products are left out of the MACs (they are not int8), the K and V it reads are counted as two bytes a value.
#pragma once

#include <string>

#include "base/result.h"
#include "eval/bench/shape.h"

namespace concerto::eval {

struct ModelCost {
  std::string name;  // for people: the file's name without .gguf
  double file_bytes = 0;
  double layer_macs = 0;   // multiply-adds of a token in the layers' matrices
  double layer_bytes = 0;  // of those matrices in the file
  double head_macs = 0;    // of the vocabulary head, for each token whose logits are wanted
  double head_bytes = 0;
  double kv_token_bytes = 0;  // K and V of one token, all layers
};

base::Result<ModelCost> cost_of(const std::string& gguf_path);

// One pass of the shape: its tokens, and what they cost.
struct PassCost {
  double tokens = 0;
  double macs = 0;
  double bytes = 0;
};
PassCost pass_of(const ModelCost& model, const Shape& shape);  // tokens 0 for kStart

// Tokens/s that no engine can pass; 0 when a ceiling is not known.
double ceiling_of(const PassCost& pass, double int8_macs_per_s, double bytes_per_s);

}  // namespace concerto::eval
