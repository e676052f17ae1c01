// How the declared memory is shared out among the local models, on files that have a size and nothing in them.
#include "app/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace concerto::app {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMb = size_t{1} << 20;

class MemoryPlanTest : public ::testing::Test {
 protected:
  MemoryPlanTest() {
    std::string name = (fs::temp_directory_path() / "memory-plan-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~MemoryPlanTest() override { fs::remove_all(folder_); }
  MemoryPlanTest(const MemoryPlanTest&) = delete;
  MemoryPlanTest& operator=(const MemoryPlanTest&) = delete;

  std::string model(const std::string& name, size_t mb) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path).flush();
    fs::resize_file(path, mb * kMb);  // sparse
    return path.string();
  }
  static TierConfig local(const std::string& name, const std::string& model) {
    TierConfig tier;
    tier.name = name;
    tier.model = model;
    return tier;
  }
  fs::path folder_;
};

TEST_F(MemoryPlanTest, SharesOutWhatTheWeightsLeave) {
  Config config;
  config.server.memory_mb = 4000;
  config.tiers = {local("small", model("small.gguf", 400)), local("big", model("big.gguf", 1000)), {}};
  config.tiers[2].kind = TierKind::kPeople;
  auto plan = MemoryPlan::make(config, 100 * kMb);  // a declared budget is believed, whatever is free
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->total(), 4000 * kMb);
  // 4000 - 96 for the program - (400 + 128) - (1000 + 128) = 2248: half of it each.
  EXPECT_EQ(plan->next(), (400 + 128 + 1124) * kMb);
  // The first takes less than it might: the second has it.
  plan->took(600 * kMb);
  EXPECT_EQ(plan->next(), (4000 - 96 - 600) * kMb);
  plan->took(3000 * kMb);
  EXPECT_EQ(plan->next(), 0U);  // no local tier is left
}

TEST_F(MemoryPlanTest, RefusesWeightsThatCannotFit) {
  Config config;
  config.server.memory_mb = 1400;
  config.tiers = {local("small", model("small.gguf", 400)), local("big", model("big.gguf", 1000))};
  const auto plan = MemoryPlan::make(config, 0);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, base::Code::kOutOfMemory);
  EXPECT_THAT(plan.error().message, testing::HasSubstr("small"));
  EXPECT_THAT(plan.error().message, testing::HasSubstr("big"));
  EXPECT_THAT(plan.error().message, testing::HasSubstr("a budget"));
}

TEST_F(MemoryPlanTest, TakesNineTenthsOfWhatIsFreeByItself) {
  Config config;
  config.tiers = {local("small", model("small.gguf", 100))};
  const auto plan = MemoryPlan::make(config, 1000 * kMb);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->total(), 900 * kMb);
  EXPECT_EQ(plan->next(), (900 - 96) * kMb);
  const auto unknown = MemoryPlan::make(config, 0);
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->next(), 0U);  // the engine finds out for itself
}

TEST_F(MemoryPlanTest, KnowsFoldersAndQuantising) {
  model("hf/a.safetensors", 300);
  const std::string folder = fs::path(model("hf/b.safetensors", 340)).parent_path().string();
  EXPECT_EQ(expected_weight_bytes(folder, ""), 640 * kMb);
  EXPECT_EQ(expected_weight_bytes(folder, "q8_0"), 340 * kMb);
  EXPECT_LT(expected_weight_bytes(folder, "q4_k"), 200 * kMb);
  EXPECT_EQ(expected_weight_bytes((folder_ / "none.gguf").string(), ""), 0U);
}

}  // namespace
}  // namespace concerto::app
