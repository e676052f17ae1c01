// WeightDigest: the short name of a set of weights, for decision records: 32 hex digits (128 bits of a SHA-256).
//
// It covers the architecture's numbers and of every tensor the name, type, target type, shape and bytes: whole when it
// is small, otherwise 64 samples of 64 bytes at evenly spread places, both ends included. So two files that differ in
// anything but a few weights get two names, at a cost of milliseconds rather than seconds. It is a label, no seal:
// whoever wants to know that no byte was changed verifies the file's own SHA-256.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/tensor_type.h"
#include "formats/tensor_file.h"
#include "model/config.h"
#include "model/sha256.h"

namespace concerto::model {

class WeightDigest {
 public:
  explicit WeightDigest(const ModelConfig& config);

  // Call in a fixed order. `role`: this project's name of the tensor, equal for GGUF and folders; target: type in
  // memory.
  void add(std::string_view role, const formats::TensorInfo& tensor, base::TensorType target);
  [[nodiscard]] std::string finish();

 private:
  void text(std::string_view line);
  Sha256 hash_;
};

}  // namespace concerto::model
