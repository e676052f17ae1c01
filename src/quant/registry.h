// The registry of weight types: reference decode and encode of each. One file per type (q4_k.cpp, ...), one row here.
//
// These functions define what the bytes of a file mean. They are plain and slow; kernels/ is tested against them.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/tensor_type.h"

namespace concerto::quant {

struct TypeCodec {
  base::TensorType type;
  // n_blocks blocks of file bytes -> n_blocks * block_weights floats. Exact: each weight is what the format says.
  void (*decode)(const std::byte* blocks, float* out, size_t n_blocks) noexcept;
  // The inverse, rounding to nearest; deterministic. nullptr where writing the type is not supported yet.
  void (*encode)(const float* in, std::byte* blocks, size_t n_blocks) noexcept;
};

const TypeCodec& codec(base::TensorType type) noexcept;

// "q4_k", "Q4_K", "bf16": nullptr when unknown.
const base::TensorGeometry* find_by_name(std::string_view name) noexcept;

}  // namespace concerto::quant
