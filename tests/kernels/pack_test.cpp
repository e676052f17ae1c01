#include "kernels/pack.h"

#include <gtest/gtest.h>

#include "kernels/reference_decode.h"
#include "kernels/test_data.h"
#include "quant/registry.h"

namespace concerto::kernels {
namespace {

class PackTest : public testing::TestWithParam<base::TensorGeometry> {};

std::vector<int> widths(base::TensorType type) {
  if (base::geometry(type).block_weights == 256) return {256, 1536};
  return {32, 64, 96, 256, 576, 896};
}

TEST_P(PackTest, UnpackedRowsEqualTheFile) {
  for (const int cols : widths(GetParam().type)) {
    for (const int rows : {1, 16, 37}) {
      const test::Matrix m(GetParam().type, rows, cols, 7);
      const size_t row_bytes = m.file.size() / static_cast<size_t>(rows);
      std::vector<float> out(static_cast<size_t>(cols));
      for (int r = 0; r < rows; ++r) {
        unpack_row(m.view, r, out.data());
        for (int c = 0; c < cols; ++c) {
          const float expected = test::weight(GetParam().type, m.file.data() + row_bytes * r, c);
          ASSERT_EQ(bits_of(out[c]), bits_of(expected)) << "cols " << cols << " row " << r << " column " << c;
        }
      }
    }
  }
}

TEST_P(PackTest, UnpackedRowsEqualTheCodec) {
  for (const int cols : widths(GetParam().type)) {
    const test::Matrix m(GetParam().type, 18, cols, 8);
    const auto blocks = static_cast<size_t>(cols) / GetParam().block_weights;
    std::vector<float> out(static_cast<size_t>(cols));
    std::vector<float> expected(static_cast<size_t>(cols));
    for (int r = 0; r < 18; ++r) {
      unpack_row(m.view, r, out.data());
      quant::codec(GetParam().type)
          .decode(m.file.data() + blocks * GetParam().block_bytes * r, expected.data(), blocks);
      for (int c = 0; c < cols; ++c) ASSERT_EQ(bits_of(out[c]), bits_of(expected[c])) << "row " << r << " column " << c;
    }
  }
}

TEST_P(PackTest, PackingByPanelsEqualsPackingWhole) {
  const int cols = widths(GetParam().type).back();
  const test::Matrix m(GetParam().type, 40, cols, 3);
  const test::Aligned parts(m.packed.size());
  std::memset(parts.data(), 0xFF, parts.size());
  pack(m.view.type, 40, cols, m.file.data(), 1, 3, parts.data());
  pack(m.view.type, 40, cols, m.file.data(), 0, 1, parts.data());
  EXPECT_EQ(std::memcmp(parts.data(), m.packed.data(), m.packed.size()), 0);
}

TEST_P(PackTest, PanelsStartOnCacheLines) {
  for (const int cols : widths(GetParam().type)) EXPECT_EQ(panel_bytes(GetParam().type, cols) % 64, 0U);
}

INSTANTIATE_TEST_SUITE_P(Types, PackTest, testing::ValuesIn(base::kTensorGeometries),
                         [](const auto& i) { return std::string(i.param.name); });

}  // namespace
}  // namespace concerto::kernels
