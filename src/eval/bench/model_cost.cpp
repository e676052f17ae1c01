#include "eval/bench/model_cost.h"

#include <algorithm>
#include <filesystem>

#include "formats/gguf.h"
#include "model/arch/registry.h"
#include "model/gguf_config.h"

namespace concerto::eval {

base::Result<ModelCost> cost_of(const std::string& gguf_path) {
  TRY(const auto file, formats::Gguf::open(gguf_path));
  TRY(const auto* architecture, model::architecture_of(*file));
  TRY(const model::ModelConfig config, model::config_from_gguf(*file, *architecture));
  ModelCost cost;
  const std::filesystem::path path(gguf_path);
  cost.name = path.stem().string();
  std::error_code error;
  cost.file_bytes = static_cast<double>(std::filesystem::file_size(path, error));
  const bool has_head = file->find("output.weight") != nullptr;
  for (const formats::TensorInfo& tensor : file->tensors()) {
    if (tensor.shape.size() != 2) continue;
    const double macs = static_cast<double>(tensor.shape[0]) * static_cast<double>(tensor.shape[1]);
    const auto bytes = static_cast<double>(tensor.bytes.size());
    const bool embedding = tensor.name == "token_embd.weight";
    if (tensor.name == "output.weight" || (embedding && !has_head)) {
      cost.head_macs = macs;
      cost.head_bytes = bytes;
    } else if (!embedding) {
      cost.layer_macs += macs;
      cost.layer_bytes += bytes;
    }
  }
  cost.kv_token_bytes = 2.0 * 2 * config.n_layers * config.n_kv_heads * config.head_dim;
  return cost;
}

PassCost pass_of(const ModelCost& model, const Shape& shape) {
  const auto n = static_cast<double>(shape.count);
  switch (shape.work) {
    case Work::kPrefill:  // only the last token needs the head
      return {n, n * model.layer_macs + model.head_macs,
              model.layer_bytes + model.head_bytes + n * model.kv_token_bytes};
    case Work::kDecode:
      return {1, model.layer_macs + model.head_macs,
              model.layer_bytes + model.head_bytes + (n + kGenerated / 2.0) * model.kv_token_bytes};
    case Work::kStreams:
      return {n, n * (model.layer_macs + model.head_macs),
              model.layer_bytes + model.head_bytes + n * (kStreamPrompt + kGenerated / 2.0) * model.kv_token_bytes};
    case Work::kStart:
    case Work::kPrefix:
    case Work::kFork:
    case Work::kGap:
      break;
  }
  return {};
}

double ceiling_of(const PassCost& pass, double int8_macs_per_s, double bytes_per_s) {
  if (pass.tokens <= 0 || int8_macs_per_s <= 0 || bytes_per_s <= 0) return 0;
  return pass.tokens / std::max(pass.macs / int8_macs_per_s, pass.bytes / bytes_per_s);
}

}  // namespace concerto::eval
