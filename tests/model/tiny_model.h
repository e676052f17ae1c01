// Random models small enough to make in a test, in any weight type.
#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/file_writers.h"
#include "quant/registry.h"

namespace concerto::model {

// A folder of its own that goes away with the object.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "concerto_model_XXXXXX").string();
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

struct TinyShape {
  std::string arch = "qwen2";
  int layers = 2;
  int embd = 256;
  int heads = 4;
  int kv_heads = 2;
  int ff = 512;
  int vocab = 330;  // no multiple of 16: the last panel of the head is short
  bool tied = false;
  // Types of the matrices.
  base::TensorType embedding = base::TensorType::kBF16;
  base::TensorType q = base::TensorType::kF32, k = base::TensorType::kF32, v = base::TensorType::kF32;
  base::TensorType o = base::TensorType::kF32, gate = base::TensorType::kF32, up = base::TensorType::kF32;
  base::TensorType down = base::TensorType::kF32, head = base::TensorType::kF32;
};

// Every matrix of another type.
inline TinyShape mixed_shape(const std::string& arch) {
  using base::TensorType;
  TinyShape shape;
  shape.arch = arch;
  shape.q = TensorType::kQ4_K, shape.k = TensorType::kQ5_K, shape.v = TensorType::kQ6_K;
  shape.o = TensorType::kQ4_0, shape.gate = TensorType::kQ5_0, shape.up = TensorType::kQ4_1;
  shape.down = TensorType::kQ5_1, shape.head = TensorType::kQ8_0;
  return shape;
}

inline TensorData random_tensor(std::mt19937& random, std::string name, base::TensorType type,
                                std::vector<uint64_t> shape, float mean, float deviation) {
  size_t count = 1;
  for (const auto extent : shape) count *= extent;
  std::vector<float> values(count);
  for (auto& value : values)  // any spread will do; the same on every machine
    value = mean + deviation * (static_cast<float>(random() >> 8) * 0x1p-23F - 1.0F) * 1.7F;
  const auto& geometry = base::geometry(type);
  TensorData tensor{std::move(name), type, std::move(shape), {}};
  tensor.bytes.resize(count / geometry.block_weights * geometry.block_bytes);
  CHECK(quant::codec(type).encode != nullptr);
  quant::codec(type).encode(values.data(), tensor.bytes.data(), count / geometry.block_weights);
  return tensor;
}

inline std::vector<TensorData> tiny_tensors(const TinyShape& s, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TensorData> tensors;
  const auto u = [](int n) { return static_cast<uint64_t>(n); };
  const int kv = s.embd / s.heads * s.kv_heads;
  const auto matrix = [&](const std::string& name, base::TensorType type, int rows, int cols) {
    tensors.push_back(random_tensor(random, name + ".weight", type, {u(rows), u(cols)}, 0, 0.1F));
  };
  const auto vector = [&](const std::string& name, int size, float mean) {
    tensors.push_back(random_tensor(random, name, base::TensorType::kF32, {u(size)}, mean, 0.3F));
  };
  matrix("token_embd", s.tied ? s.head : s.embedding, s.vocab, s.embd);
  for (int l = 0; l < s.layers; ++l) {
    const std::string p = fmt::format("blk.{}.", l);
    vector(p + "attn_norm.weight", s.embd, 1);
    matrix(p + "attn_q", s.q, s.embd, s.embd);
    matrix(p + "attn_k", s.k, kv, s.embd);
    matrix(p + "attn_v", s.v, kv, s.embd);
    if (s.arch == "qwen2") {
      vector(p + "attn_q.bias", s.embd, 0);
      vector(p + "attn_k.bias", kv, 0);
      vector(p + "attn_v.bias", kv, 0);
    }
    matrix(p + "attn_output", s.o, s.embd, s.embd);
    vector(p + "ffn_norm.weight", s.embd, 1);
    matrix(p + "ffn_gate", s.gate, s.ff, s.embd);
    matrix(p + "ffn_up", s.up, s.ff, s.embd);
    matrix(p + "ffn_down", s.down, s.embd, s.ff);
  }
  vector("output_norm.weight", s.embd, 1);
  if (!s.tied) matrix("output", s.head, s.vocab, s.embd);
  return tensors;
}

inline void add_settings(GgufWriter& writer, const TinyShape& s) {
  const auto u = [](int n) { return static_cast<uint32_t>(n); };
  writer.add("general.architecture", std::string_view(s.arch));
  writer.add("general.name", std::string_view("tiny"));
  writer.add(s.arch + ".block_count", u(s.layers));
  writer.add(s.arch + ".embedding_length", u(s.embd));
  writer.add(s.arch + ".feed_forward_length", u(s.ff));
  writer.add(s.arch + ".attention.head_count", u(s.heads));
  writer.add(s.arch + ".attention.head_count_kv", u(s.kv_heads));
  writer.add(s.arch + ".attention.layer_norm_rms_epsilon", 1e-6F);
  writer.add(s.arch + ".context_length", 1024U);
}

// The path of a GGUF file of this shape, made in `dir`.
inline std::string write_tiny_gguf(const TempDir& dir, const TinyShape& shape, uint32_t seed = 1) {
  GgufWriter writer;
  add_settings(writer, shape);
  for (auto& tensor : tiny_tensors(shape, seed)) writer.add(std::move(tensor));
  const std::string path = dir.file(shape.arch + ".gguf");
  write_file(path, writer.bytes());
  return path;
}

}  // namespace concerto::model
