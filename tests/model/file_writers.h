// Writes small model files for the tests: GGUF v3 and safetensors. Formats: see formats/gguf.h and
// formats/safetensors.h.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor_type.h"

namespace concerto::model {

// A tensor to write; shape slowest dimension first.
struct TensorData {
  std::string name;
  base::TensorType type = base::TensorType::kF32;
  std::vector<uint64_t> shape;
  std::vector<std::byte> bytes;
};

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class GgufWriter {
 public:
  void add(const std::string& key, uint32_t value) { begin(key, 4), put(metadata_, value); }
  void add(const std::string& key, float value) { begin(key, 6), put(metadata_, value); }
  void add(const std::string& key, std::string_view value) { begin(key, 8), put_string(metadata_, value); }
  void add(TensorData tensor) { tensors_.push_back(std::move(tensor)); }

  [[nodiscard]] std::string bytes() const {
    std::string out = "GGUF";
    put(out, uint32_t{3});
    put(out, uint64_t{tensors_.size()});
    put(out, keys_);
    out += metadata_;
    uint64_t offset = 0;
    for (const auto& tensor : tensors_) {
      put_string(out, tensor.name);
      put(out, static_cast<uint32_t>(tensor.shape.size()));
      for (size_t d = tensor.shape.size(); d-- > 0;) put(out, tensor.shape[d]);  // the fastest dimension first
      put(out, static_cast<uint32_t>(tensor.type));
      put(out, offset);
      offset += aligned(tensor.bytes.size());
    }
    out.resize(aligned(out.size()));
    for (const auto& tensor : tensors_) {
      out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
      out.resize(aligned(out.size()));
    }
    return out;
  }

 private:
  static size_t aligned(size_t n) { return (n + 31) / 32 * 32; }
  template <class T>
  static void put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void put_string(std::string& out, std::string_view text) {
    put(out, uint64_t{text.size()});
    out += text;
  }
  void begin(const std::string& key, uint32_t type) {
    ++keys_;
    put_string(metadata_, key);
    put(metadata_, type);
  }

  uint64_t keys_ = 0;
  std::string metadata_;
  std::vector<TensorData> tensors_;
};

inline std::string safetensors_bytes(const std::vector<TensorData>& tensors) {
  std::string header = "{";
  size_t offset = 0;
  for (const auto& tensor : tensors) {
    header += fmt::format("{}\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                          offset == 0 ? "" : ",", tensor.name, base::geometry(tensor.type).name,
                          fmt::join(tensor.shape, ","), offset, offset + tensor.bytes.size());
    offset += tensor.bytes.size();
  }
  header += "}";
  const uint64_t size = header.size();
  std::string out(reinterpret_cast<const char*>(&size), sizeof size);
  out += header;
  for (const auto& tensor : tensors)
    out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  return out;
}

}  // namespace concerto::model
