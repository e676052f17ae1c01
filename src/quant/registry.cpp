#include "quant/registry.h"

#include "base/check.h"
#include "quant/codecs.h"

namespace concerto::quant {
namespace {

constexpr const TypeCodec* kCodecs[] = {
    &kF32Codec,  &kF16Codec,  &kBF16Codec, &kQ4_0Codec, &kQ4_1Codec, &kQ5_0Codec,
    &kQ5_1Codec, &kQ8_0Codec, &kQ4_KCodec, &kQ5_KCodec, &kQ6_KCodec,
};

constexpr char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

constexpr bool same_name(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (upper(a[i]) != upper(b[i])) return false;
  }
  return true;
}

}  // namespace

const TypeCodec& codec(base::TensorType type) noexcept {
  for (const TypeCodec* row : kCodecs) {
    if (row->type == type) return *row;
  }
  CHECK(!"every TensorType has a row in quant/registry.cpp");
}

const base::TensorGeometry* find_by_name(std::string_view name) noexcept {
  for (const auto& geometry : base::kTensorGeometries) {
    if (same_name(geometry.name, name)) return &geometry;
  }
  return nullptr;
}

}  // namespace concerto::quant
