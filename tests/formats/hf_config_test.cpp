#include "formats/hf_config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/safetensors_writer.h"

namespace concerto::formats {
namespace {

using base::Code;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// The fields of the published DeepSeek-R1-Distill-Qwen-1.5B.
constexpr std::string_view kR1 = R"({
  "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151643,
  "hidden_act": "silu", "hidden_size": 1536, "initializer_range": 0.02, "intermediate_size": 8960,
  "max_position_embeddings": 131072, "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 12,
  "num_hidden_layers": 28, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 10000,
  "sliding_window": 4096, "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.44.0",
  "use_cache": true, "use_mrope": false, "use_sliding_window": false, "vocab_size": 151936})";

// Qwen2-7B-Instruct.
constexpr std::string_view kQwen7b = R"({
  "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
  "hidden_act": "silu", "hidden_size": 3584, "initializer_range": 0.02, "intermediate_size": 18944,
  "max_position_embeddings": 32768, "max_window_layers": 28, "model_type": "qwen2", "num_attention_heads": 28,
  "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
  "sliding_window": 131072, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
  "transformers_version": "4.41.2", "use_cache": true, "use_sliding_window": false, "vocab_size": 152064})";

// A tiny llama as transformers 5 writes it: rope_parameters, layer_types, dtype, nulls.
constexpr std::string_view kLlama5 = R"({
  "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1,
  "dtype": "float32", "eos_token_id": [2, 7], "head_dim": 64, "hidden_act": "silu", "hidden_size": 576,
  "initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": true,
  "layer_types": ["full_attention", "full_attention"], "max_position_embeddings": 8192, "mlp_bias": false,
  "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 2, "num_key_value_heads": 3,
  "pad_token_id": null, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_interleaved": false,
  "rope_parameters": {"rope_theta": 100000, "rope_type": "default"}, "rope_scaling": null,
  "tie_word_embeddings": true, "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
  "vocab_size": 49152})";

TEST(HfConfig, ReadsR1DistillAsPublished) {
  const auto config = parse_hf_config(kR1, "config.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->model_type, "qwen2");
  EXPECT_EQ(config->hidden_size, 1536);
  EXPECT_EQ(config->num_hidden_layers, 28);
  EXPECT_EQ(config->num_attention_heads, 12);
  EXPECT_EQ(config->num_key_value_heads, 2);
  EXPECT_EQ(config->head_dim, 128);
  EXPECT_EQ(config->intermediate_size, 8960);
  EXPECT_EQ(config->vocab_size, 151936);
  EXPECT_EQ(config->max_position_embeddings, 131072);
  EXPECT_EQ(config->rms_norm_eps, 1e-6);
  EXPECT_EQ(config->rope_theta, 10000.0);
  EXPECT_FALSE(config->tie_word_embeddings);
  EXPECT_TRUE(config->qkv_bias);
  EXPECT_EQ(config->bos_token_id, 151643);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(151643));
}

TEST(HfConfig, ReadsQwen2SevenB) {
  const auto config = parse_hf_config(kQwen7b, "config.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->hidden_size, 3584);
  EXPECT_EQ(config->intermediate_size, 18944);
  EXPECT_EQ(config->num_key_value_heads, 4);
  EXPECT_EQ(config->head_dim, 128);
  EXPECT_EQ(config->vocab_size, 152064);
  EXPECT_EQ(config->rope_theta, 1e6);
}

TEST(HfConfig, ReadsWhatTransformers5Writes) {
  const auto config = parse_hf_config(kLlama5, "config.json");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->model_type, "llama");
  EXPECT_EQ(config->head_dim, 64);
  EXPECT_EQ(config->rope_theta, 100000.0);
  EXPECT_TRUE(config->tie_word_embeddings);
  EXPECT_FALSE(config->qkv_bias);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2, 7));
}

constexpr std::string_view kSmall =
    R"("hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"intermediate_size":128,"vocab_size":100,)"
    R"("max_position_embeddings":512)";

TEST(HfConfig, FillsInDefaults) {
  const auto config =
      parse_hf_config(std::string("{").append(kSmall) + R"(,"architectures":["LlamaForCausalLM"]})", "c");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->num_key_value_heads, 4);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->rope_theta, 10000.0);
  EXPECT_EQ(config->rms_norm_eps, 1e-6);
  EXPECT_FALSE(config->tie_word_embeddings);
  EXPECT_EQ(config->bos_token_id, std::nullopt);
  EXPECT_THAT(config->eos_token_ids, IsEmpty());
}

TEST(HfConfig, RefusesWhatTheEngineCannotDo) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"("model_type":"mistral")", "model_type: expected one of qwen2, llama, found \"mistral\""},
      {R"("architectures":["Qwen2ForSequenceClassification"])", "Qwen2ForSequenceClassification"},
      {R"("rope_scaling":{"type":"linear","factor":2.0})",
       "rope_scaling.type: expected \"default\" or null, found \"linear\""},
      {R"("rope_scaling":{"rope_type":"llama3"})", "llama3"},
      {R"("rope_parameters":{"rope_theta":10000.0,"rope_type":"yarn"})", "yarn"},
      {R"("use_sliding_window":true)", "use_sliding_window: expected false, found true"},
      {R"("use_mrope":true)", "use_mrope"},
      {R"("layer_types":["full_attention","sliding_attention"])", "sliding_attention"},
      {R"("hidden_act":"gelu")", "gelu"},
      {R"("quantization_config":{"quant_method":"awq"})", "quantization_config"},
  };
  for (const auto& [field, part] : cases) {
    const bool names_model = field.find("model_type") != std::string_view::npos;
    const std::string json =
        std::string("{").append(kSmall) + (names_model ? "," : R"(,"model_type":"qwen2",)") + std::string(field) + "}";
    const auto config = parse_hf_config(json, "x/config.json");
    ASSERT_FALSE(config) << field;
    EXPECT_EQ(config.error().code, Code::kUnsupported) << config.error().message;
    EXPECT_THAT(config.error().message, AllOf(StartsWith("x/config.json: "), HasSubstr(part)));
  }
  const auto bias =
      parse_hf_config(std::string("{").append(kSmall) + R"(,"model_type":"llama","attention_bias":true})", "c");
  EXPECT_EQ(bias.error().code, Code::kUnsupported);
}

TEST(HfConfig, IgnoresUnusedWindowsAndNulls) {
  const auto config = parse_hf_config(
      std::string("{").append(kSmall) +
          R"(,"model_type":"qwen2","use_sliding_window":false,"sliding_window":4096,"rope_scaling":null,)"
          R"("rope_parameters":{"rope_type":"default"},"head_dim":null,"quantization_config":null,"torch_dtype":"x"})",
      "c");
  ASSERT_TRUE(config) << config.error().message;
}

TEST(HfConfig, NamesFileFieldExpectedAndFound) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"("hidden_size":"64")", "hidden_size: expected a number, found a string"},
      {R"("hidden_size":-64)", "hidden_size: expected a whole number from 1 to 1048576, found -64"},
      {R"("hidden_size":0)", "hidden_size"},
      {R"("hidden_size":64.0)", "hidden_size: expected a whole number"},
      {R"("hidden_size":1e3)", "hidden_size"},
      {R"("hidden_size":99999999999999999999)", "hidden_size"},
      {R"("hidden_size":1073741824)", "hidden_size"},
      {R"("hidden_size":[64])", "hidden_size: expected a number, found an array"},
      {R"("hidden_size":null)", "hidden_size: expected a whole number, found nothing"},
      {R"("hidden_size":66)", "hidden_size: expected a multiple of num_attention_heads 4, found 66"},
      {R"("hidden_size":64,"head_dim":15)", "head_dim: expected an even number, found 15"},
      {R"("hidden_size":64,"num_key_value_heads":3)", "num_key_value_heads: expected a divisor"},
      {R"("hidden_size":64,"num_hidden_layers":1000000)", "num_hidden_layers"},
      {R"("hidden_size":64,"rms_norm_eps":-1e-6)", "rms_norm_eps"},
      {R"("hidden_size":64,"rms_norm_eps":true)", "rms_norm_eps: expected a number, found true or false"},
      {R"("hidden_size":64,"rope_theta":0)", "rope_theta"},
      {R"("hidden_size":64,"rope_theta":NaN)", "rope_theta"},
      {R"("hidden_size":64,"rope_theta":1e999)", "rope_theta"},
      {R"("hidden_size":64,"rope_theta":500000,"rope_parameters":{"rope_theta":10000})",
       "rope_theta: expected the 10000"},
      {R"("hidden_size":64,"rope_scaling":7)", "rope_scaling: expected an object, found a number"},
      {R"("hidden_size":64,"tie_word_embeddings":1)", "tie_word_embeddings: expected true or false, found a number"},
      {R"("hidden_size":64,"eos_token_id":[1,null])", "eos_token_id: expected a token id, found null"},
      {R"("hidden_size":64,"eos_token_id":-1)", "eos_token_id"},
      {R"("hidden_size":64,"architectures":"Qwen2ForCausalLM")", "architectures: expected an array, found a string"},
      {R"("hidden_size":64,"hidden_size":64)", "hidden_size: expected once, found twice"},
  };
  for (const auto& [field, part] : cases) {
    const std::string json =
        R"({"model_type":"qwen2","num_attention_heads":4,"intermediate_size":128,"vocab_size":100,)"
        R"("max_position_embeddings":512,)" +
        std::string(field) +
        (field.find("num_hidden_layers") == std::string_view::npos ? R"(,"num_hidden_layers":2})" : "}");
    const auto config = parse_hf_config(json, "config.json");
    ASSERT_FALSE(config) << field;
    EXPECT_EQ(config.error().code, Code::kCorrupt) << config.error().message;
    EXPECT_THAT(config.error().message, AllOf(StartsWith("config.json: "), HasSubstr(part)));
  }
}

TEST(HfConfig, RefusesWhatIsNotJson) {
  for (const std::string& json :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"), std::string("{\"a\":1,}"),
        std::string("{\"a\" 1}"), std::string("{'a':1}"), std::string("{\"a\":01}"), std::string("{\"a\":\"\xff\"}"),
        std::string("{\"a\":\"\n\"}"), std::string("{\"a\":\"\\ud800\"}"), std::string("{\"a\":tru}"),
        std::string("{\"a\":1} x"), "{\"a\":" + std::string(100'000, '['), "{\"a\":" + std::string(100'000, '{')}) {
    const auto config = parse_hf_config(json, "c");
    ASSERT_FALSE(config) << json.substr(0, 50);
    EXPECT_EQ(config.error().code, Code::kCorrupt);
    EXPECT_LT(config.error().message.size(), 500U);
  }
}

TEST(HfConfig, ReadsFiles) {
  const test::TempFolder folder;
  EXPECT_EQ(read_hf_config(folder.path() + "/config.json").error().code, Code::kNotFound);
  const auto path = folder.write("config.json", kR1);
  const auto config = read_hf_config(path);
  ASSERT_TRUE(config) << config.error().message;
  folder.write("config.json", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(read_hf_config(path).error().code, Code::kTooLarge);
}

TEST(HfGenerationConfig, ReadsThePublishedOnes) {
  const auto r1 = parse_hf_generation_config(
      R"({"_from_model_config": true, "bos_token_id": 151646, "eos_token_id": 151643, "do_sample": true,)"
      R"("temperature": 0.6, "top_p": 0.95, "transformers_version": "4.39.3"})",
      "generation_config.json");
  ASSERT_TRUE(r1) << r1.error().message;
  EXPECT_EQ(r1->do_sample, true);
  EXPECT_EQ(r1->temperature, 0.6);
  EXPECT_EQ(r1->top_p, 0.95);
  EXPECT_EQ(r1->top_k, std::nullopt);
  EXPECT_EQ(r1->repetition_penalty, std::nullopt);
  EXPECT_EQ(r1->bos_token_id, 151646);
  EXPECT_THAT(r1->eos_token_ids, ElementsAre(151643));

  const auto qwen = parse_hf_generation_config(
      R"({"bos_token_id": 151643, "pad_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],)"
      R"("repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "transformers_version": "4.37.0"})",
      "generation_config.json");
  ASSERT_TRUE(qwen) << qwen.error().message;
  EXPECT_EQ(qwen->top_k, 20);
  EXPECT_EQ(qwen->repetition_penalty, 1.1);
  EXPECT_THAT(qwen->eos_token_ids, ElementsAre(151645, 151643));
}

TEST(HfGenerationConfig, RefusesNonsense) {
  for (const char* json : {R"({"temperature":-1})", R"({"temperature":"hot"})", R"({"top_p":1.5})", R"({"top_k":-1})",
                           R"({"top_k":2.5})", R"({"repetition_penalty":0})", R"({"do_sample":1})",
                           R"({"eos_token_id":"x"})", R"({"top_p":1,"top_p":1})", "[]", ""}) {
    const auto config = parse_hf_generation_config(json, "g");
    ASSERT_FALSE(config) << json;
    EXPECT_EQ(config.error().code, Code::kCorrupt) << json;
  }
  EXPECT_TRUE(parse_hf_generation_config(R"({"temperature":null,"eos_token_id":null})", "g"));
}

}  // namespace
}  // namespace concerto::formats
