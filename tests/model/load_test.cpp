// What Model::load accepts, and what it says of files it does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "model/model.h"
#include "model/runner.h"
#include "model/tiny_model.h"

namespace concerto::model {
namespace {

using base::Code;
using base::TensorType;
using testing::EndsWith;
using testing::HasSubstr;

class Load : public testing::Test {
 protected:
  base::Result<std::unique_ptr<Model>> load(const std::string& path, const LoadOptions& options = {}) {
    return Model::load(path, pool_, options);
  }
  base::Error error(const std::string& path, const LoadOptions& options = {}) {
    auto model = load(path, options);
    if (!model) return model.error();
    ADD_FAILURE() << path << " was accepted";
    return {};
  }
  // A tiny model whose tensors or settings were changed before writing.
  std::string write(const TinyShape& shape, const std::function<void(std::vector<TensorData>&)>& change) {
    GgufWriter writer;
    add_settings(writer, shape);
    auto tensors = tiny_tensors(shape, 1);
    change(tensors);
    for (auto& tensor : tensors) writer.add(std::move(tensor));
    const auto path = dir_.file("changed.gguf");
    write_file(path, writer.bytes());
    return path;
  }
  std::string write_with(const std::function<void(GgufWriter&)>& settings, const TinyShape& shape = {}) {
    GgufWriter writer;
    settings(writer);
    for (auto& tensor : tiny_tensors(shape, 1)) writer.add(std::move(tensor));
    const auto path = dir_.file("settings.gguf");
    write_file(path, writer.bytes());
    return path;
  }

  TempDir dir_;
  base::ThreadPool pool_{2};
};

TensorData& named(std::vector<TensorData>& tensors, const std::string& name) {
  for (auto& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  ADD_FAILURE() << name;
  return tensors[0];
}

TEST_F(Load, ReadsTheConfig) {
  const auto model = load(write_tiny_gguf(dir_, {}));
  ASSERT_TRUE(model) << model.error().message;
  const auto& c = (*model)->config();
  EXPECT_EQ(c.arch, "qwen2");
  EXPECT_EQ(c.name, "tiny");
  EXPECT_EQ(c.n_layers, 2);
  EXPECT_EQ(c.n_embd, 256);
  EXPECT_EQ(c.n_heads, 4);
  EXPECT_EQ(c.n_kv_heads, 2);
  EXPECT_EQ(c.head_dim, 64);
  EXPECT_EQ(c.n_ff, 512);
  EXPECT_EQ(c.n_vocab, 330);
  EXPECT_EQ(c.n_context, 1024);
  EXPECT_EQ(c.rope_base, 10000);
  EXPECT_TRUE(c.rope_neox);
  EXPECT_TRUE(c.qkv_bias);
  EXPECT_FALSE(c.tied_head);
  EXPECT_EQ((*model)->kv_layout().kv_heads, 2);
  EXPECT_GT((*model)->workspace_bytes(64, 1), 64U * 4 * (256 + 256 + 256 + 512));
}

TEST_F(Load, LlamaFilesTurnNeighbours) {
  TinyShape shape;
  shape.arch = "llama";
  shape.tied = true;
  const auto model = load(write_tiny_gguf(dir_, shape));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_FALSE((*model)->config().rope_neox);
  EXPECT_FALSE((*model)->config().qkv_bias);
  EXPECT_TRUE((*model)->config().tied_head);
}

TEST_F(Load, AWrongShapeIsNamedWithPlaceExpectedAndFound) {
  const auto path = write({}, [](auto& tensors) {
    named(tensors, "blk.1.attn_q.weight").shape = {256, 128};
    named(tensors, "blk.1.attn_q.weight").bytes.resize(256 * 128 * 4);
  });
  const auto e = error(path);
  EXPECT_EQ(e.code, Code::kCorrupt);
  EXPECT_THAT(e.message, EndsWith("changed.gguf: blk.1.attn_q.weight: expected [256, 256], found [256, 128]"));
}

TEST_F(Load, EveryMissingTensorIsNamed) {
  const auto all = tiny_tensors({}, 1);
  for (const auto& missing : all) {
    const auto path = write({}, [&](auto& tensors) {
      std::erase_if(tensors, [&](const auto& tensor) { return tensor.name == missing.name; });
    });
    if (missing.name == "output.weight") {  // then the head is the embedding
      EXPECT_TRUE(load(path));
      continue;
    }
    const auto e = error(path);
    EXPECT_EQ(e.code, Code::kCorrupt);
    EXPECT_THAT(e.message, HasSubstr(missing.name + ": expected in the file"));
  }
}

TEST_F(Load, AnUnknownArchitectureNamesTheKnown) {
  const auto path = write_with([](auto& writer) { writer.add("general.architecture", std::string_view("mamba")); });
  const auto e = error(path);
  EXPECT_EQ(e.code, Code::kUnsupported);
  EXPECT_THAT(e.message, EndsWith("general.architecture: expected one of llama, qwen2, found mamba"));
}

TEST_F(Load, EveryMissingSettingIsAnError) {
  EXPECT_EQ(error(write_with([](auto&) {})).code, Code::kNotFound);
  EXPECT_EQ(error(write_with([](auto& writer) { writer.add("general.architecture", std::string_view("qwen2")); })).code,
            Code::kNotFound);
}

TEST_F(Load, RopeScalingIsRefused) {
  for (const auto* key : {"qwen2.rope.scaling.type", "llama.rope.scaling.type"}) {
    TinyShape shape;
    shape.arch = std::string(key).substr(0, 5);
    const auto path = write_with(
        [&](auto& writer) {
          add_settings(writer, shape);
          writer.add(key, std::string_view("yarn"));
        },
        shape);
    const auto e = error(path);
    EXPECT_EQ(e.code, Code::kUnsupported);
    EXPECT_THAT(e.message, HasSubstr("rope.scaling.type: expected none, found yarn"));
  }
  EXPECT_EQ(error(write_with([](auto& writer) {
              add_settings(writer, {});
              writer.add("qwen2.rope.scaling.factor", 4.0F);
            })).code,
            Code::kUnsupported);
  EXPECT_EQ(error(write_with([](auto& writer) {
              add_settings(writer, {});
              writer.add("qwen2.rope.dimension_count", 32U);
            })).code,
            Code::kUnsupported);
}

// Numbers that would make sizes overflow or memory run out: an error, soon, and no allocation.
TEST_F(Load, HostileNumbersAreErrors) {
  const TinyShape good;
  for (const auto* key : {"block_count", "embedding_length", "feed_forward_length", "attention.head_count",
                          "attention.head_count_kv", "context_length", "attention.key_length"}) {
    for (const uint32_t value : {0U, 1U, 3U, 255U, 1024U, 1U << 17, 1U << 30, 0x7fffffffU, 0xffffffffU}) {
      if ((key == std::string("context_length") && value > 0 && value < 1U << 24) ||
          (key == std::string("block_count") && value == 1))
        continue;  // valid
      GgufWriter writer;
      const std::string full = "qwen2." + std::string(key);
      const auto put = [&](const std::string& name, uint32_t usual) { writer.add(name, name == full ? value : usual); };
      writer.add("general.architecture", std::string_view("qwen2"));
      put("qwen2.block_count", 2);
      put("qwen2.embedding_length", 256);
      put("qwen2.feed_forward_length", 512);
      put("qwen2.attention.head_count", 4);
      put("qwen2.attention.head_count_kv", 2);
      put("qwen2.attention.key_length", 64);
      put("qwen2.context_length", 1024);
      writer.add("qwen2.attention.layer_norm_rms_epsilon", 1e-6F);
      for (auto& tensor : tiny_tensors(good, 1)) writer.add(std::move(tensor));
      const auto path = dir_.file("hostile.gguf");
      write_file(path, writer.bytes());
      const auto e = error(path);
      EXPECT_TRUE(e.code == Code::kCorrupt || e.code == Code::kUnsupported) << key << " = " << value;
      EXPECT_THAT(e.message, HasSubstr("hostile.gguf: "));
    }
  }
  for (const float eps : {0.0F, -1.0F, 2.0F, std::numeric_limits<float>::infinity()}) {
    const auto path = write_with([&](auto& writer) {
      writer.add("general.architecture", std::string_view("qwen2"));
      writer.add("qwen2.block_count", 2U);
      writer.add("qwen2.embedding_length", 256U);
      writer.add("qwen2.feed_forward_length", 512U);
      writer.add("qwen2.attention.head_count", 4U);
      writer.add("qwen2.attention.head_count_kv", 2U);
      writer.add("qwen2.context_length", 1024U);
      writer.add("qwen2.attention.layer_norm_rms_epsilon", eps);
    });
    EXPECT_EQ(error(path).code, Code::kCorrupt) << eps;
  }
}

class LoadFolder : public Load {
 protected:
  // A copy of a golden folder with one edit of its config.json.
  std::string edited(const std::string& from, const std::string& to) {
    const std::filesystem::path source = std::string(CONCERTO_TEST_DATA) + "/model/tiny-qwen2-bf16";
    const std::string target = dir_.file("folder");
    std::filesystem::remove_all(target);
    std::filesystem::copy(source, target);
    std::ifstream in(source / "config.json");
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    write_file(target + "/config.json", text);
    return target;
  }
};

TEST_F(LoadFolder, TheConfigAndTheWeightsMustAgree) {
  EXPECT_TRUE(load(edited("qwen2", "qwen2")));
  auto e = error(edited("\"vocab_size\": 300", "\"vocab_size\": 301"));
  EXPECT_EQ(e.code, Code::kCorrupt);
  EXPECT_THAT(e.message, HasSubstr("model.embed_tokens.weight: expected 301 rows"));
  e = error(edited("\"intermediate_size\": 96", "\"intermediate_size\": 128"));
  EXPECT_THAT(e.message, HasSubstr("model.layers.0.mlp.gate_proj.weight: expected [128, 64], found [96, 64]"));
  e = error(edited("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"));
  EXPECT_THAT(e.message, HasSubstr("model.layers.2.input_layernorm.weight: expected in the file"));
  EXPECT_EQ(error(edited("\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"")).code, Code::kUnsupported);
  EXPECT_EQ(error(edited("\"model_type\": \"qwen2\"", "\"model_type\": \"gpt2\"")).code, Code::kUnsupported);
}

TEST_F(LoadFolder, AMissingShardIsNamed) {
  const auto folder = edited("qwen2", "qwen2");
  std::filesystem::remove(folder + "/model-00002-of-00002.safetensors");
  const auto e = error(folder);
  EXPECT_EQ(e.code, Code::kNotFound);
  EXPECT_THAT(e.message, HasSubstr("model-00002-of-00002.safetensors"));
}

TEST_F(LoadFolder, QuantisesEveryType) {
  for (const auto type : {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_K, TensorType::kQ6_K}) {
    LoadOptions options;
    options.quantize_to = type;
    const auto model = load(edited("qwen2", "qwen2"), options);
    ASSERT_TRUE(model) << model.error().message;
    for (const float logit : Runner(**model, pool_, 1, 1).step({{0, {1, 2, 3}}}).back())
      ASSERT_TRUE(std::isfinite(logit));
  }
  LoadOptions options;
  options.quantize_to = TensorType::kF32;
  EXPECT_EQ(error(edited("qwen2", "qwen2"), options).code, Code::kUnsupported);
}

TEST_F(Load, TruncatedFilesAreErrors) {
  TinyShape shape;
  shape.layers = 1;
  GgufWriter writer;
  add_settings(writer, shape);
  for (auto& tensor : tiny_tensors(shape, 1)) writer.add(std::move(tensor));
  const std::string bytes = writer.bytes();
  for (size_t size = 0; size < bytes.size(); size += size < 2000 ? 37 : bytes.size() / 20) {
    const auto path = dir_.file("short.gguf");
    write_file(path, bytes.substr(0, size));
    EXPECT_EQ(error(path).code, Code::kCorrupt) << size;
  }
  EXPECT_EQ(error(dir_.file("none.gguf")).code, Code::kNotFound);
  EXPECT_EQ(error(dir_.path()).code, Code::kNotFound);  // a folder without config.json
}

TEST_F(Load, TheHashNamesTheWeights) {
  const auto path = write_tiny_gguf(dir_, {});
  const auto hash = [&](const std::string& file) {
    auto model = load(file);
    EXPECT_TRUE(model) << model.error().message;
    return (*model)->hash();
  };
  const auto first = hash(path);
  EXPECT_EQ(first.size(), 32U);
  EXPECT_EQ(hash(path), first);
  EXPECT_NE(hash(write_tiny_gguf(dir_, {}, 2)), first);
  EXPECT_NE(hash(write({},
                       [](auto& tensors) {  // one value of a norm
                         auto& bytes = named(tensors, "blk.0.ffn_norm.weight").bytes;
                         bytes[40] ^= std::byte{1};
                       })),
            first);
}

TEST_F(Load, TiedAndUntiedHeadsOfEqualWeightsGiveEqualLogits) {
  TinyShape tied;
  tied.tied = true;
  tied.head = TensorType::kQ8_0;
  const auto both = [&](std::vector<TensorData>& tensors) {
    auto head = named(tensors, "token_embd.weight");
    head.name = "output.weight";
    tensors.push_back(std::move(head));
  };
  auto one = load(write(tied, [](auto&) {}));
  auto two = load(write(tied, both));
  ASSERT_TRUE(one && two);
  EXPECT_TRUE((*one)->config().tied_head);
  EXPECT_FALSE((*two)->config().tied_head);
  const std::vector<int32_t> prompt{1, 329, 77, 5, 16, 15};
  EXPECT_EQ(Runner(**one, pool_, 1, 1).step({{0, prompt}}), Runner(**two, pool_, 1, 1).step({{0, prompt}}));
}

// Quantising while loading is the same as loading a file that was quantised: the same encoder, the same packing.
TEST_F(Load, QuantisingWhileLoadingEqualsAQuantisedFile) {
  TinyShape floats;
  TinyShape quantised = floats;
  for (auto* type : {&quantised.q, &quantised.k, &quantised.v, &quantised.o, &quantised.gate, &quantised.up,
                     &quantised.down, &quantised.head})
    *type = TensorType::kQ8_0;
  LoadOptions options;
  options.quantize_to = TensorType::kQ8_0;
  auto one = load(write_tiny_gguf(dir_, floats), options);
  ASSERT_TRUE(one) << one.error().message;
  auto two = load(write_tiny_gguf(dir_, quantised));
  ASSERT_TRUE(two) << two.error().message;
  const std::vector<int32_t> prompt{1, 329, 77, 5, 16, 15};
  EXPECT_EQ(Runner(**one, pool_, 1, 1).step({{0, prompt}}), Runner(**two, pool_, 1, 1).step({{0, prompt}}));
  EXPECT_EQ((*one)->weight_bytes(), (*two)->weight_bytes());
}

TEST_F(Load, QuantisingFallsBackWhereRowsDoNotFit) {
  TinyShape shape;
  shape.embd = 192;  // 0.75 blocks of Q4_K
  LoadOptions options;
  options.quantize_to = TensorType::kQ4_K;
  const auto path = write_tiny_gguf(dir_, shape);
  auto quantised = load(path, options);
  ASSERT_TRUE(quantised) << quantised.error().message;
  auto whole = load(path);
  ASSERT_TRUE(whole);
  EXPECT_LT((*quantised)->weight_bytes(), (*whole)->weight_bytes() / 3);
  EXPECT_NE((*quantised)->hash(), (*whole)->hash());
  const std::vector<int32_t> prompt{1, 329, 77};
  const auto a = Runner(**quantised, pool_, 1, 1).step({{0, prompt}}).back();
  const auto b = Runner(**whole, pool_, 1, 1).step({{0, prompt}}).back();
  double dot = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) dot += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  EXPECT_GT(dot / std::sqrt(aa * bb), 0.98);
}

TEST_F(Load, ProgressRisesToOne) {
  LoadOptions options;
  std::vector<double> seen;
  options.progress = [&](double fraction) { seen.push_back(fraction); };
  ASSERT_TRUE(load(write_tiny_gguf(dir_, {}), options));
  ASSERT_FALSE(seen.empty());
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), 1);
}

}  // namespace
}  // namespace concerto::model
