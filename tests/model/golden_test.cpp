// Against transformers (tools/goldens/make_model_goldens.py made the files).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "model/model.h"
#include "model/runner.h"

namespace concerto::model {
namespace {

struct Golden {
  std::vector<int32_t> prompt;
  std::vector<std::pair<int, std::vector<float>>> rows;
};

Golden read_golden(const std::string& path) {
  Golden golden;
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "prompt") {
      for (int id = 0; words >> id;) golden.prompt.push_back(id);
    } else {
      int row = 0;
      words >> row;
      golden.rows.push_back({row, {}});
      for (float value = 0; words >> value;) golden.rows.back().second.push_back(value);
    }
  }
  return golden;
}

class TinyFolder : public testing::TestWithParam<const char*> {};

TEST_P(TinyFolder, LogitsAreThoseOfTransformers) {
  const std::string folder = std::string(CONCERTO_TEST_DATA) + "/model/" + GetParam();
  const auto golden = read_golden(folder + "/logits.txt");
  ASSERT_EQ(golden.rows.size(), 6U);
  base::ThreadPool pool(2);
  auto model = Model::load(folder, pool);
  ASSERT_TRUE(model) << model.error().message;
  Runner runner(**model, pool, 1, 2);
  const auto logits = runner.step({{0, golden.prompt}});
  std::vector<double> errors;
  for (const auto& [row, expected] : golden.rows) {
    const auto& found = logits[static_cast<size_t>(row)];
    ASSERT_EQ(found.size(), expected.size());
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      error += std::pow(found[i] - expected[i], 2);
      norm += std::pow(expected[i], 2);
    }
    // An element of attention that torch's order of sums puts on the other side of a bfloat16 boundary moves a whole
    // row by some 1e-4.
    EXPECT_LT(std::sqrt(error / norm), 1e-3) << "row " << row;
    errors.push_back(std::sqrt(error / norm));
  }
  std::sort(errors.begin(), errors.end());
  EXPECT_LT(errors[2], 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Models, TinyFolder, testing::Values("tiny-qwen2-bf16", "tiny-llama-f32"),
                         [](const auto& row) { return row.index == 0 ? "Qwen2Bf16" : "LlamaF32"; });

}  // namespace
}  // namespace concerto::model
