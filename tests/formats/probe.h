// Runs a parser of outside bytes and then uses everything it let through. Shared by the mutation tests, the corpus
// replay and the fuzz targets: whatever the bytes, no crash, and errors that can be shown to a person.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/tensor_type.h"
#include "base/utf8.h"
#include "formats/gguf.h"
#include "formats/hf_config.h"
#include "formats/safetensors.h"

namespace concerto::formats::test {

// Aborts: in a test as well as under the fuzzer that is a find.
inline void require(bool condition) {
  if (!condition) std::abort();
}

// A message names its file, is valid UTF-8 on one line, and is short enough to read.
inline void require_good_error(const base::Error& error, std::string_view file) {
  require(error.message.starts_with(file));
  require(error.message.size() < 1500);
  require(base::utf8_valid_prefix(error.message) == error.message.size());
  require(error.message.find('\n') == std::string::npos);
  require(error.code == base::Code::kCorrupt || error.code == base::Code::kUnsupported ||
          error.code == base::Code::kNotFound);
}

// Reads the ends of every tensor and checks what TensorFile promises.
inline uint64_t probe_tensors(const TensorFile& file, std::span<const std::byte> all) {
  uint64_t sum = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    require(file.find(tensor.name) == &tensor);
    uint64_t weights = 1;
    for (const uint64_t extent : tensor.shape) weights *= extent;
    const auto& geometry = base::geometry(tensor.type);
    require(weights % geometry.block_weights == 0);
    require(tensor.bytes.size() == weights / geometry.block_weights * geometry.block_bytes);
    if (tensor.bytes.empty()) continue;
    require(tensor.bytes.data() >= all.data() && tensor.bytes.data() + tensor.bytes.size() <= all.data() + all.size());
    sum += static_cast<uint64_t>(tensor.bytes.front()) + static_cast<uint64_t>(tensor.bytes.back());
  }
  return sum;
}

// True when the bytes were taken.
inline bool probe_gguf(std::span<const std::byte> bytes) {
  const auto file = Gguf::from_memory(bytes, "f.gguf");
  if (!file) {
    require_good_error(file.error(), "f.gguf: ");
    return false;
  }
  probe_tensors(**file, bytes);
  const auto check = [](const auto& result) {
    if (!result) require_good_error(result.error(), "f.gguf: ");
  };
  for (const std::string_view key : (*file)->keys()) {
    require((*file)->has(key));
    check((*file)->get_uint(key));
    check((*file)->get_float(key));
    check((*file)->get_bool(key));
    check((*file)->get_string(key));
    check((*file)->get_strings(key));
    check((*file)->get_ints(key));
    check((*file)->get_floats(key));
  }
  return true;
}

inline bool probe_safetensors(std::span<const std::byte> bytes) {
  const auto file = Safetensors::from_memory(bytes, "f.safetensors");
  if (!file) {
    require_good_error(file.error(), "f.safetensors: ");
    return false;
  }
  probe_tensors(**file, bytes);
  return true;
}

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline bool probe_index(std::span<const std::byte> bytes) {
  const auto index = parse_safetensors_index(as_text(bytes), "i.json");
  if (!index) {
    require_good_error(index.error(), "i.json: ");
    return false;
  }
  for (const auto& [tensor, file] : *index) require(file.find('/') == std::string::npos && file.front() != '.');
  return true;
}

// config.json or generation_config.json: both readers see every input. True when one takes it.
inline bool probe_hf_config(std::span<const std::byte> bytes) {
  const auto generation = parse_hf_generation_config(as_text(bytes), "g.json");
  if (!generation) require_good_error(generation.error(), "g.json: ");
  const auto config = parse_hf_config(as_text(bytes), "c.json");
  if (!config) {
    require_good_error(config.error(), "c.json: ");
  } else {
    require(config->num_attention_heads % config->num_key_value_heads == 0 && config->head_dim > 0 &&
            config->head_dim % 2 == 0 && config->hidden_size > 0 && config->vocab_size > 0);
  }
  return generation.has_value() || config.has_value();
}

}  // namespace concerto::formats::test
