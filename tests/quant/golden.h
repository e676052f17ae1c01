// Reads the files of tests/data/quant (tools/goldens/make_quant_goldens.py says what is in them).
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace concerto::quant::test {

inline std::vector<std::byte> read_golden(const std::string& name) {
  const std::string path = std::string(CONCERTO_TEST_DATA) + "/quant/" + name;
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

inline std::vector<float> as_floats(const std::byte* bytes, size_t n) {
  std::vector<float> out(n);
  if (n != 0) std::memcpy(out.data(), bytes, n * sizeof(float));
  return out;
}

}  // namespace concerto::quant::test
