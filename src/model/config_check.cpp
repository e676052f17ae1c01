#include "model/config_check.h"

#include <fmt/format.h>

#include <cmath>

namespace concerto::model {

using base::Code;
using base::Result;
using base::Status;

Result<int> bounded(std::string_view path, std::string_view what, uint64_t value, int most) {
  if (value > static_cast<uint64_t>(most))
    return base::fail(Code::kCorrupt, fmt::format("{}: {}: expected 0 to {}, found {}", path, what, most, value));
  return static_cast<int>(value);
}

Result<int> vocab_rows(const formats::TensorFile& file, std::string_view embedding) {
  const auto* tensor = file.find(embedding);
  if (tensor == nullptr)
    return base::fail(Code::kCorrupt,
                      fmt::format("{}: {}: expected in the file, found nothing", file.path(), embedding));
  if (tensor->shape.size() != 2)
    return base::fail(Code::kCorrupt, fmt::format("{}: {}: expected 2 dimensions, found {}", file.path(), embedding,
                                                  tensor->shape.size()));
  return bounded(file.path(), fmt::format("{}: rows", embedding), tensor->shape[0], kMaxVocab);
}

Status check_config(const ModelConfig& c, std::string_view path) {
  const auto wrong = [&](Code code, std::string_view what, const std::string& expected, const std::string& found) {
    return base::fail(code, fmt::format("{}: {}: expected {}, found {}", path, what, expected, found));
  };
  const auto positive = [&](std::string_view what, int value, int most) -> Status {
    if (value < 1 || value > most)
      return wrong(Code::kCorrupt, what, fmt::format("1 to {}", most), fmt::format("{}", value));
    return {};
  };
  TRY_STATUS(positive("layers", c.n_layers, kMaxLayers));
  TRY_STATUS(positive("embedding length", c.n_embd, kMaxEmbd));
  TRY_STATUS(positive("feed-forward length", c.n_ff, kMaxFf));
  TRY_STATUS(positive("attention heads", c.n_heads, kMaxHeads));
  TRY_STATUS(positive("key/value heads", c.n_kv_heads, kMaxHeads));
  TRY_STATUS(positive("head dimension", c.head_dim, kMaxHeadDim));
  TRY_STATUS(positive("vocabulary", c.n_vocab, kMaxVocab));
  TRY_STATUS(positive("context length", c.n_context, kMaxContext));
  if (c.n_heads % c.n_kv_heads != 0)
    return wrong(Code::kCorrupt, "attention heads", fmt::format("a multiple of the {} key/value heads", c.n_kv_heads),
                 fmt::format("{}", c.n_heads));
  if (c.head_dim % 16 != 0)  // a head is whole panels of kernels.h
    return wrong(Code::kUnsupported, "head dimension", "a multiple of 16", fmt::format("{}", c.head_dim));
  for (const auto& [what, value] : {std::pair{"embedding length", c.n_embd},
                                    {"feed-forward length", c.n_ff},
                                    {"heads x head dimension", c.n_heads * c.head_dim}}) {
    if (value % 32 != 0)  // kernels.h: activations are summed per 32 columns
      return wrong(Code::kUnsupported, what, "a multiple of 32", fmt::format("{}", value));
  }
  if (!(c.rms_eps > 0 && c.rms_eps < 1))
    return wrong(Code::kCorrupt, "norm epsilon", "above 0 and below 1", fmt::format("{}", c.rms_eps));
  if (!(c.rope_base >= 1 && c.rope_base <= 1e12))
    return wrong(Code::kCorrupt, "rope base", "1 to 1e12", fmt::format("{}", c.rope_base));
  return {};
}

}  // namespace concerto::model
