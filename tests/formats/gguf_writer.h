// GgufWriter: builds small GGUF files in memory, valid by default; a test bends what it wants bent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_type.h"

namespace concerto::formats::test {

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

class GgufWriter {
 public:
  explicit GgufWriter(uint32_t version = 3) : version_(version) {}

  // A key with a value of a fixed-size type.
  template <class T>
  GgufWriter& key(std::string_view name, uint32_t type, T value) {
    start_key(name, type);
    put(&metadata_, value);
    return *this;
  }
  GgufWriter& text(std::string_view name, std::string_view value) {
    start_key(name, kString);
    put_string(&metadata_, value);
    return *this;
  }
  GgufWriter& texts(std::string_view name, const std::vector<std::string>& values) {
    start_array(name, kString, values.size());
    for (const auto& value : values) put_string(&metadata_, value);
    return *this;
  }
  template <class T>
  GgufWriter& numbers(std::string_view name, uint32_t type, const std::vector<T>& values) {
    start_array(name, type, values.size());
    for (const T value : values) put(&metadata_, value);
    return *this;
  }
  // `count` may lie; `raw` follows as it is.
  GgufWriter& raw_array(std::string_view name, uint32_t type, uint64_t count, const std::string& raw = {}) {
    start_array(name, type, count);
    metadata_ += raw;
    return *this;
  }
  GgufWriter& raw_key(std::string_view name, uint32_t type, const std::string& raw) {
    start_key(name, type);
    metadata_ += raw;
    return *this;
  }

  // Dimensions fastest first, as in the file. Placed behind the previous tensor, aligned.
  GgufWriter& tensor(std::string_view name, base::TensorType type, const std::vector<uint64_t>& dims) {
    uint64_t bytes = 1;
    for (const uint64_t d : dims) bytes *= d;
    const auto& geometry = base::geometry(type);
    bytes = bytes / geometry.block_weights * geometry.block_bytes;
    raw_tensor(name, static_cast<uint32_t>(type), dims, data_bytes_);
    data_bytes_ = (data_bytes_ + bytes + alignment_ - 1) / alignment_ * alignment_;
    return *this;
  }
  GgufWriter& raw_tensor(std::string_view name, uint32_t type, const std::vector<uint64_t>& dims, uint64_t offset) {
    ++tensors_;
    put_string(&infos_, name);
    put(&infos_, static_cast<uint32_t>(dims.size()));
    for (const uint64_t d : dims) put(&infos_, d);
    put(&infos_, type);
    put(&infos_, offset);
    return *this;
  }
  GgufWriter& data(uint64_t bytes) {
    data_bytes_ = bytes;
    return *this;
  }
  GgufWriter& align(uint64_t alignment) {
    alignment_ = alignment;
    return *this;
  }
  GgufWriter& counts(uint64_t tensors, uint64_t keys) {
    tensors_ = tensors;
    keys_ = keys;
    return *this;
  }

  // The data is bytes 0, 1, 2, ... and the header is padded to the alignment.
  [[nodiscard]] std::vector<std::byte> bytes() const {
    std::string out = "GGUF";
    put(&out, version_);
    put(&out, tensors_);
    put(&out, keys_);
    out += metadata_ + infos_;
    header_bytes_ = out.size();
    while (out.size() % alignment_ != 0) out += '\0';
    for (uint64_t i = 0; i < data_bytes_; ++i) out += static_cast<char>(i);
    std::vector<std::byte> bytes(out.size());
    std::memcpy(bytes.data(), out.data(), out.size());
    return bytes;
  }
  // Of the last bytes(): where the padding begins.
  [[nodiscard]] size_t header_bytes() const { return header_bytes_; }

  template <class T>
  static void put(std::string* out, T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out->append(raw, sizeof(T));
  }
  static void put_string(std::string* out, std::string_view text) {
    put(out, static_cast<uint64_t>(text.size()));
    *out += text;
  }

 private:
  void start_key(std::string_view name, uint32_t type) {
    ++keys_;
    put_string(&metadata_, name);
    put(&metadata_, type);
  }
  void start_array(std::string_view name, uint32_t type, uint64_t count) {
    start_key(name, kArray);
    put(&metadata_, type);
    put(&metadata_, count);
  }

  uint32_t version_;
  uint64_t tensors_ = 0;
  uint64_t keys_ = 0;
  uint64_t data_bytes_ = 0;
  uint64_t alignment_ = 32;
  std::string metadata_;
  std::string infos_;
  mutable size_t header_bytes_ = 0;
};

// A small file with every kind of metadata and four tensors.
inline GgufWriter sample_gguf(uint32_t version = 3) {
  GgufWriter writer(version);
  writer.text("general.architecture", "qwen2")
      .text("general.name", "a small 模型")
      .key("qwen2.block_count", kU32, uint32_t{2})
      .key("u8", kU8, uint8_t{200})
      .key("i8", kI8, int8_t{-5})
      .key("u16", kU16, uint16_t{65535})
      .key("i16", kI16, int16_t{-300})
      .key("i32", kI32, int32_t{-70000})
      .key("u64", kU64, uint64_t{1} << 40)
      .key("i64", kI64, int64_t{-1} << 40)
      .key("f32", kF32, 1.5F)
      .key("f64", kF64, 0.1)
      .key("yes", kBool, uint8_t{1})
      .texts("tokenizer.ggml.tokens", {"a", "", "好"})
      .numbers<int32_t>("tokenizer.ggml.token_type", kI32, {1, 3, -1})
      .numbers<float>("tokenizer.ggml.scores", kF32, {0.5F, -1.0F})
      .tensor("token_embd.weight", base::TensorType::kF32, {4, 3})
      .tensor("blk.0.attn_q.weight", base::TensorType::kQ4_0, {64, 2})
      .tensor("blk.0.ffn_down.weight", base::TensorType::kQ4_K, {256, 1})
      .tensor("output_norm.weight", base::TensorType::kF16, {5});
  return writer;
}

}  // namespace concerto::formats::test
