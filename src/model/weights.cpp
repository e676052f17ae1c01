#include "model/weights.h"

#include "base/tensor_type.h"
#include "quant/registry.h"

namespace concerto::model {

using base::TensorType;

void Weights::embed(int token, float* out) const noexcept {
  if (embedding_ == nullptr) {
    kernels::unpack_row(head_, token, out);
    return;
  }
  const auto& geometry = base::geometry(embedding_->type);
  const size_t blocks = embedding_->shape[1] / geometry.block_weights;
  quant::codec(embedding_->type)
      .decode(embedding_->bytes.data() + static_cast<size_t>(token) * blocks * geometry.block_bytes, out, blocks);
}

std::optional<TensorType> fitting_type(TensorType wanted, int cols) noexcept {
  const auto fits = [&](TensorType type) {
    return static_cast<uint32_t>(cols) % base::geometry(type).block_weights == 0;
  };
  if (fits(wanted)) return wanted;
  TensorType other = TensorType::kQ8_0;
  if (wanted == TensorType::kQ4_K) other = TensorType::kQ5_0;
  if (wanted == TensorType::kQ5_K) other = TensorType::kQ5_1;
  if (fits(other)) return other;
  return std::nullopt;
}

}  // namespace concerto::model
