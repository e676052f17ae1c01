#include "model/digest.h"

#include <fmt/format.h>

namespace concerto::model {
namespace {

constexpr size_t kSamples = 64;
constexpr size_t kSampleBytes = 64;

}  // namespace

WeightDigest::WeightDigest(const ModelConfig& c) {
  text(fmt::format("concerto weights 1\n{} L{} D{} H{} G{} K{} F{} V{} eps {:a} base {:a} neox {} bias {} tied {}\n",
                   c.arch, c.n_layers, c.n_embd, c.n_heads, c.n_kv_heads, c.head_dim, c.n_ff, c.n_vocab,
                   static_cast<double>(c.rms_eps), c.rope_base, c.rope_neox, c.qkv_bias, c.tied_head));
}

void WeightDigest::text(std::string_view line) { hash_.add(std::as_bytes(std::span(line))); }

void WeightDigest::add(std::string_view role, const formats::TensorInfo& tensor, base::TensorType target) {
  text(fmt::format("{} {} {} {}\n", role, base::geometry(tensor.type).name, base::geometry(target).name,
                   fmt::join(tensor.shape, "x")));
  const auto bytes = tensor.bytes;
  if (bytes.size() <= kSamples * kSampleBytes) {
    hash_.add(bytes);
    return;
  }
  const size_t last = bytes.size() - kSampleBytes;
  for (size_t i = 0; i < kSamples; ++i)
    hash_.add(bytes.subspan(last / (kSamples - 1) * i + last % (kSamples - 1) * i / (kSamples - 1), kSampleBytes));
}

std::string WeightDigest::finish() { return hash_.finish(); }

}  // namespace concerto::model
