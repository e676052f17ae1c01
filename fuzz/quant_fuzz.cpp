// Any bytes as blocks, any floats as weights, for every type: no crash, no undefined behaviour, finite blocks.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "quant/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace concerto;
  if (size < 1) return 0;
  const auto& geometry = base::kTensorGeometries[data[0] % std::size(base::kTensorGeometries)];
  const auto& codec = quant::codec(geometry.type);
  ++data;
  --size;
  std::vector<std::byte> blocks(size / geometry.block_bytes * geometry.block_bytes);
  if (!blocks.empty()) std::memcpy(blocks.data(), data, blocks.size());
  std::vector<float> decoded(blocks.size() / geometry.block_bytes * geometry.block_weights);
  codec.decode(blocks.data(), decoded.data(), decoded.size() / geometry.block_weights);

  std::vector<float> weights(size / 4 / geometry.block_weights * geometry.block_weights);
  if (weights.empty()) return 0;
  std::memcpy(weights.data(), data, weights.size() * 4);
  const size_t n = weights.size() / geometry.block_weights;
  std::vector<std::byte> encoded(n * geometry.block_bytes);
  codec.encode(weights.data(), encoded.data(), n);
  std::vector<float> back(weights.size());
  codec.decode(encoded.data(), back.data(), n);
  for (const float v : back) {
    if (geometry.block_weights > 1 && !std::isfinite(v)) std::abort();
  }
  return 0;
}
