#include "engine/generation_defaults.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace concerto::engine {
namespace {

class Folder {
 public:
  Folder() : path_(testing::TempDir() + "concerto_generation_defaults") {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  base::Result<SamplingParams> read(const std::string& text) const {
    std::ofstream(path_ + "/generation_config.json") << text;
    return folder_defaults(path_);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(GenerationDefaults, ComeFromTheFolder) {
  const Folder folder;
  const auto none = folder_defaults(folder.path());
  ASSERT_TRUE(none);
  EXPECT_EQ(none->temperature, SamplingParams{}.temperature);

  const auto qwen =
      folder.read(R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.1})");
  ASSERT_TRUE(qwen) << qwen.error().message;
  EXPECT_EQ(qwen->temperature, 0.6F);
  EXPECT_EQ(qwen->top_k, 20);
  EXPECT_EQ(qwen->top_p, 0.8F);
  EXPECT_EQ(qwen->repeat_penalty, 1.1F);
  EXPECT_EQ(qwen->repeat_last_n, -1);
  EXPECT_EQ(folder.read(R"({"do_sample": false, "temperature": 0.6})")->temperature, 0.0F);
  const auto broken = folder.read("{");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, base::Code::kCorrupt);
}

TEST(GenerationDefaults, KnowsTheQuantisedTypes) {
  EXPECT_EQ(*quantize_type("q8_0"), base::TensorType::kQ8_0);
  EXPECT_EQ(*quantize_type("Q4_K"), base::TensorType::kQ4_K);
  EXPECT_FALSE(quantize_type("f16"));
  EXPECT_FALSE(quantize_type("q3_k"));
}

}  // namespace
}  // namespace concerto::engine
