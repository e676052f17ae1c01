// Every parser of outside bytes against damaged input: cut at every byte, thousands of seeded damages, and the corpora
// of the fuzz targets. A crash, a hang, a sanitizer report or an unreadable error is the failure; probe.h checks them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "formats/gguf_writer.h"
#include "formats/mutate.h"
#include "formats/probe.h"
#include "formats/safetensors_writer.h"

namespace concerto::formats {
namespace {

using Bytes = std::vector<std::byte>;
using Probe = bool (*)(std::span<const std::byte>);

// Every proper prefix, each in a buffer of its own so that AddressSanitizer sees a read past its end.
void cut_everywhere(const Bytes& whole, Probe probe, const std::function<bool(size_t)>& must_be_refused) {
  ASSERT_TRUE(probe(whole));
  for (size_t n = 0; n < whole.size(); ++n) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));
    const bool taken = probe(part);
    if (must_be_refused(n)) {
      ASSERT_FALSE(taken) << "cut at " << n << " of " << whole.size();
    }
  }
}

void damage(const Bytes& whole, Probe probe, uint32_t rounds) {
  uint32_t taken = 0;
  for (uint32_t seed = 0; seed < rounds; ++seed) {
    SCOPED_TRACE(seed);
    taken += probe(test::Mutator(seed)(whole)) ? 1 : 0;
  }
  // Some damage is harmless (it hits data), most is not; otherwise the damages are not what they should be.
  EXPECT_GT(taken, rounds / 200);
  EXPECT_LT(taken, rounds * 9 / 10);
}

Bytes sample_safetensors() {
  return test::safetensors_bytes(R"({"__metadata__":{"format":"pt","x":"\u00e9\ud83d\ude00"},)"
                                 R"("model.embed_tokens.weight":{"dtype":"BF16","shape":[4,8],"data_offsets":[0,64]},)"
                                 R"("model.norm.weight":{"dtype":"F32","shape":[8],"data_offsets":[64,96]},)"
                                 R"("lm_head.weight":{"dtype":"F16","shape":[4,8],"data_offsets":[96,160]}}  )",
                                 160);
}

Bytes sample_index() {
  return test::as_bytes(R"({"metadata":{"total_size":160},"weight_map":{)"
                        R"("a.weight":"model-00001-of-00002.safetensors",)"
                        R"("b.weight":"model-00002-of-00002.safetensors"}})");
}

Bytes sample_config() {
  return test::as_bytes(
      R"({"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","hidden_size":64,"num_hidden_layers":2,)"
      R"("num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":128,"vocab_size":300,)"
      R"("max_position_embeddings":512,"rms_norm_eps":1e-06,"rope_parameters":{"rope_theta":1e6,"rope_type":"default"},)"
      R"("rope_scaling":null,"tie_word_embeddings":true,"eos_token_id":[1,2],"temperature":0.6,"do_sample":true})");
}

TEST(Hostile, GgufCutAtEveryByte) {
  for (const uint32_t version : {2U, 3U}) {
    const auto whole = test::sample_gguf(version).bytes();
    // The last tensor has 10 bytes; the padding behind it, to 32, belongs to nobody.
    const size_t needed = whole.size() - 22;
    cut_everywhere(whole, test::probe_gguf, [&](size_t n) { return n < needed; });
  }
}

TEST(Hostile, SafetensorsCutAtEveryByte) {
  cut_everywhere(sample_safetensors(), test::probe_safetensors, [](size_t) { return true; });
}

TEST(Hostile, IndexCutAtEveryByte) {
  cut_everywhere(sample_index(), test::probe_index, [](size_t) { return true; });
}

TEST(Hostile, ConfigCutAtEveryByte) {
  cut_everywhere(sample_config(), test::probe_hf_config, [](size_t) { return true; });
}

TEST(Hostile, GgufDamaged) { damage(test::sample_gguf().bytes(), test::probe_gguf, 20'000); }
TEST(Hostile, SafetensorsDamaged) { damage(sample_safetensors(), test::probe_safetensors, 20'000); }
TEST(Hostile, IndexDamaged) { damage(sample_index(), test::probe_index, 20'000); }
TEST(Hostile, ConfigDamaged) { damage(sample_config(), test::probe_hf_config, 20'000); }

struct Corpus {
  const char* folder;
  Probe probe;
};

class CorpusReplay : public ::testing::TestWithParam<Corpus> {};

// Names say what must happen: valid_* is taken, bad_* is refused, anything else may be either.
TEST_P(CorpusReplay, EveryFileIsHandled) {
  const std::filesystem::path folder =
      std::filesystem::path(CONCERTO_TEST_DATA) / "../../fuzz/corpus" / GetParam().folder;
  size_t valid = 0;
  size_t bad = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path());
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const std::string name = entry.path().filename();
    const bool taken = GetParam().probe(test::as_bytes(text));
    if (name.starts_with("valid_")) {
      EXPECT_TRUE(taken);
      ++valid;
    } else if (name.starts_with("bad_")) {
      EXPECT_FALSE(taken);
      ++bad;
    }
  }
  EXPECT_GE(valid, 2U);
  EXPECT_GE(bad, 2U);
}

INSTANTIATE_TEST_SUITE_P(Fuzz, CorpusReplay,
                         ::testing::Values(Corpus{"gguf", test::probe_gguf},
                                           Corpus{"safetensors", test::probe_safetensors},
                                           Corpus{"safetensors_index", test::probe_index},
                                           Corpus{"hf_config", test::probe_hf_config}),
                         [](const auto& row) { return std::string(row.param.folder); });

}  // namespace
}  // namespace concerto::formats
