// SmolLM2-135M, dequantised into a Hugging Face folder, says what transformers says (float32, greedy). Exercises the
// folder path, weights in F32 and the reading of llama GGUF files at once.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "model/model.h"
#include "model/runner.h"
#include "model/tiny_model.h"

namespace concerto::model {
namespace {

std::string model_file() {
  const std::string name = "/smollm2-135m-instruct-q4_1.gguf";
  if (const char* folder = std::getenv("CONCERTO_MODELS")) return folder + name;
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "") + "/.cache/concerto/models" + name;
}

std::string folder_name(std::string name) {
  const std::vector<std::pair<std::string, std::string>> parts = {{"token_embd", "model.embed_tokens"},
                                                                  {"output_norm", "model.norm"},
                                                                  {"blk.", "model.layers."},
                                                                  {"attn_norm", "input_layernorm"},
                                                                  {"attn_q", "self_attn.q_proj"},
                                                                  {"attn_k", "self_attn.k_proj"},
                                                                  {"attn_v", "self_attn.v_proj"},
                                                                  {"attn_output", "self_attn.o_proj"},
                                                                  {"ffn_norm", "post_attention_layernorm"},
                                                                  {"ffn_gate", "mlp.gate_proj"},
                                                                  {"ffn_up", "mlp.up_proj"},
                                                                  {"ffn_down", "mlp.down_proj"}};
  for (const auto& [from, to] : parts) {
    if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  }
  return name;
}

// A GGUF llama keeps row i of a head's first half and row i of its second half as rows 2i and 2i + 1.
std::vector<float> unpermute(const std::vector<float>& rows, size_t cols, size_t head_dim) {
  std::vector<float> out(rows.size());
  for (size_t r = 0; r < rows.size() / cols; ++r) {
    const size_t head = r / head_dim * head_dim;
    const size_t to = head + (r % head_dim) / 2 + (r % 2) * (head_dim / 2);
    std::copy_n(rows.begin() + static_cast<ptrdiff_t>(r * cols), cols, out.begin() + static_cast<ptrdiff_t>(to * cols));
  }
  return out;
}

void write_folder(const formats::Gguf& file, const TempDir& dir) {
  std::vector<TensorData> tensors;
  for (const auto& tensor : file.tensors()) {
    const auto& geometry = base::geometry(tensor.type);
    const size_t blocks = tensor.bytes.size() / geometry.block_bytes;
    std::vector<float> values(blocks * geometry.block_weights);
    quant::codec(tensor.type).decode(tensor.bytes.data(), values.data(), blocks);
    if (tensor.name.find("attn_q") != std::string::npos || tensor.name.find("attn_k") != std::string::npos)
      values = unpermute(values, tensor.shape[1], 64);
    TensorData out{folder_name(tensor.name), base::TensorType::kF32, tensor.shape, {}};
    out.bytes.resize(values.size() * sizeof(float));
    std::memcpy(out.bytes.data(), values.data(), out.bytes.size());
    tensors.push_back(std::move(out));
  }
  write_file(dir.file("model.safetensors"), safetensors_bytes(tensors));
  write_file(dir.file("config.json"), R"({"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-05, "rope_theta": 100000, "vocab_size": 49152, "tie_word_embeddings": true,
    "hidden_act": "silu", "torch_dtype": "float32"})");
}

TEST(SmolLm2, GreedyTextIsThatOfTransformers) {
  const std::string path = model_file();
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not on this machine; concerto pull gets it";
  TempDir dir;
  {
    auto file = formats::Gguf::open(path);
    ASSERT_TRUE(file) << file.error().message;
    write_folder(**file, dir);
  }
  base::ThreadPool pool(0);
  auto model = Model::load(dir.path(), pool);
  ASSERT_TRUE(model) << model.error().message;
  std::ifstream golden(std::string(CONCERTO_TEST_DATA) + "/model/smollm2-greedy.txt");
  int cases = 0;
  std::vector<int32_t> prompt;
  for (std::string line; std::getline(golden, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    std::vector<int32_t> ids;
    for (int id = 0; words >> id;) ids.push_back(id);
    if (kind == "prompt") {
      prompt = ids;
      continue;
    }
    Runner runner(**model, pool, 1, 2);
    EXPECT_EQ(runner.greedy(prompt, static_cast<int>(ids.size())), ids) << "prompt " << cases;
    ++cases;
  }
  EXPECT_EQ(cases, 6);
}

}  // namespace
}  // namespace concerto::model
