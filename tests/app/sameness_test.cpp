// The promise of docs/determinism.md, over HTTP: a sample of what
// `concerto doctor --sameness MODEL` tries with a thousand requests.
#include "app/sameness.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "app/paths.h"
#include "kernels/kernels.h"

namespace concerto::app {
namespace {

TEST(Sameness, ASampleOfRequestsAndSettings) {
  const std::string model = models_folder() + "/smollm2-135m-instruct-q4_1.gguf";
  if (!std::filesystem::exists(model)) {
    GTEST_SKIP() << model << " is missing: concerto pull smollm2-135m-instruct-q4_1";
  }
  SamenessOptions options;
  options.model = model;
  options.requests = 30;
  std::set<std::string> settings;
  options.progress = [&](int, const std::string& setting) { settings.insert(setting); };
  const auto report = check_sameness(options);
  ASSERT_TRUE(report) << report.error().message;
  int tables = 0;
  for (const char* isa : {"avx512", "avx2", "neon", "generic"}) tables += kernels::find_table(isa) != nullptr ? 1 : 0;
  EXPECT_EQ(report->settings, tables * 2);
  EXPECT_EQ(settings.size(), static_cast<size_t>(report->settings));
  EXPECT_GE(report->requests, 30);
  EXPECT_EQ(report->same, report->requests);
  for (const std::string& difference : report->differences) ADD_FAILURE() << difference;
}

}  // namespace
}  // namespace concerto::app
