// Packed weights in a file beside the model: used when they are the model's own, told and left aside when not.
#include "model/sidecar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/log.h"
#include "model/model.h"
#include "model/runner.h"
#include "model/tiny_model.h"

namespace concerto::model {
namespace {

using base::Code;
using testing::HasSubstr;

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Sidecar : public testing::Test {
 protected:
  void SetUp() override { base::set_log_level(base::LogLevel::kOff); }
  std::unique_ptr<Model> load(const std::string& path, SidecarUse use) {
    auto model = Model::load(path, pool_, {.sidecar = use});
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
  }
  std::vector<int32_t> words(Model& model) { return Runner(model, pool_, 1, 1).greedy({1, 2, 3}, 16); }

  TempDir dir_;
  base::ThreadPool pool_{2};
};

TEST_F(Sidecar, TheMappedModelSaysTheSame) {
  for (const char* arch : {"qwen2", "llama"}) {
    const auto path = write_tiny_gguf(dir_, mixed_shape(arch));
    const auto packed = load(path, SidecarUse::kIgnore);
    EXPECT_FALSE(std::filesystem::exists(path + ".packed"));
    load(path, SidecarUse::kWrite);
    ASSERT_TRUE(std::filesystem::exists(path + ".packed"));
    const auto mapped = load(path, SidecarUse::kRead);
    EXPECT_EQ(mapped->hash(), packed->hash());
    EXPECT_EQ(mapped->weight_bytes(), packed->weight_bytes());
    EXPECT_EQ(words(*mapped), words(*packed));
  }
}

// What it maps is what the file holds: a changed weight in it, with its checksum mended, changes the words.
TEST_F(Sidecar, ItIsTheFileThatIsRead) {
  const auto path = write_tiny_gguf(dir_, mixed_shape("qwen2"));
  const auto before = words(*load(path, SidecarUse::kWrite));
  const SidecarKey key{load(path, SidecarUse::kIgnore)->hash(), layout_fingerprint(),
                       std::filesystem::file_size(path + ".packed") - 4096};
  const std::vector<std::byte> zeros(key.bytes);
  ASSERT_TRUE(write_sidecar(path + ".packed", key, zeros));
  EXPECT_NE(words(*load(path, SidecarUse::kRead)), before);
  EXPECT_EQ(words(*load(path, SidecarUse::kIgnore)), before);
}

TEST_F(Sidecar, OthersAreNamedAndLeftAside) {
  const auto path = write_tiny_gguf(dir_, mixed_shape("qwen2"));
  const auto model = load(path, SidecarUse::kWrite);
  const auto before = words(*model);
  const std::string good = read(path + ".packed");
  const SidecarKey key{model->hash(), layout_fingerprint(), good.size() - 4096};
  ASSERT_TRUE(map_sidecar(path + ".packed", key));

  const auto expect_refused = [&](const std::string& bytes, const std::string& message) {
    write_file(path + ".packed", bytes);
    const auto mapped = map_sidecar(path + ".packed", key);
    ASSERT_FALSE(mapped);
    EXPECT_EQ(mapped.error().code, Code::kCorrupt);
    EXPECT_THAT(mapped.error().message, HasSubstr(message));
    EXPECT_EQ(words(*load(path, SidecarUse::kRead)), before);
  };
  expect_refused(good.substr(0, good.size() - 1), "expected " + std::to_string(good.size()) + " bytes, found ");
  expect_refused(good.substr(0, 100), "bytes, found 100");
  std::string changed = good;
  changed[good.find("\nweights ") + 10] ^= 1;
  expect_refused(changed, "expected weights " + key.weights + ", found weights ");
  changed = good;
  changed[good.find("layout ") + 8] ^= 1;
  expect_refused(changed, "expected layout " + key.layout + ", found layout ");
  changed = good;
  changed.back() ^= 1;  // the last byte is always among the samples
  expect_refused(changed, "expected samples ");
  expect_refused(std::string(good.size(), '\0'), "found no weights");
}

TEST_F(Sidecar, WhatCannotBeWrittenLeavesNothing) {
  const auto path = write_tiny_gguf(dir_, {});
  std::filesystem::create_directory(path + ".packed");  // no file can take this name
  const auto model = Model::load(path, pool_, {.sidecar = SidecarUse::kWrite});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::kIo);
  EXPECT_THAT(model.error().message, HasSubstr("cannot rename"));
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path()))
    EXPECT_THAT(entry.path().string(), testing::Not(HasSubstr("incomplete")));
}

TEST_F(Sidecar, ATypeOfItsOwnHasAFileOfItsOwn) {
  EXPECT_EQ(sidecar_path("/m/a.gguf", {}), "/m/a.gguf.packed");
  EXPECT_EQ(sidecar_path("/m/a.gguf", base::TensorType::kQ4_K), "/m/a.gguf.Q4_K.packed");
  EXPECT_EQ(sidecar_path(dir_.path(), {}), dir_.file("weights.packed"));
}

}  // namespace
}  // namespace concerto::model
