// Safetensors: the weights of a Hugging Face folder, mapped and checked. Format:
// github.com/huggingface/safetensors (README, "Format"); the index of a sharded model is transformers'.
//
//   file:  uint64 n | n bytes of JSON | data
//   JSON:  {"NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}, ..., "__metadata__": {...}}
//   index: {"metadata": {...}, "weight_map": {"NAME": "model-00001-of-00002.safetensors", ...}}
//
// open() holds the format's own rules: the header is at most 100,000,000 bytes, every name occurs once, the size of
// each tensor is that of its shape and dtype, and the tensors cover the data exactly, without overlap or gap. F32, F16
// and BF16 are read; another dtype is kUnsupported, whatever is broken kCorrupt; the error names file and tensor. An
// index may only name files of its own folder. Immutable afterwards; thread-safe.
//
// The format does not align tensors: read them through memcpy (base::load_le) or quant::codec.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "formats/mapped_file.h"
#include "formats/tensor_file.h"

namespace concerto::formats {

class Safetensors final : public TensorFile {
 public:
  // `path`: one .safetensors file, a ....safetensors.index.json, or a folder that holds model.safetensors or
  // model.safetensors.index.json (the single file first, as transformers does).
  static base::Result<std::unique_ptr<Safetensors>> open(const std::string& path);
  // One file from bytes in memory that outlive the object (tests, fuzzing). `name` stands for the path in errors.
  static base::Result<std::unique_ptr<Safetensors>> from_memory(std::span<const std::byte> bytes, std::string name);

  [[nodiscard]] std::string_view path() const override { return path_; }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override;
  [[nodiscard]] const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  void release(std::span<const std::byte> bytes) const override;

 private:
  explicit Safetensors(std::string path) : path_(std::move(path)) {}
  static base::Result<std::unique_ptr<Safetensors>> open_file(const std::string& path);
  static base::Result<std::unique_ptr<Safetensors>> open_index(const std::string& path);
  base::Status index_names();

  std::string path_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::vector<TensorInfo> tensors_;  // in the order of the data (of the shards' names, then of the data)
  std::unordered_map<std::string_view, size_t> by_name_;  // views into tensors_, which no longer grows
};

// Name of a tensor -> file name of its shard, from the text of an index. Checked: every file name is a plain name that
// ends in .safetensors. Sorted by name. `name` stands for the file in errors.
base::Result<std::vector<std::pair<std::string, std::string>>> parse_safetensors_index(std::string_view json,
                                                                                       const std::string& name);

}  // namespace concerto::formats
