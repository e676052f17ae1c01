// Limits that every ModelConfig is held to, whatever file it came from, before anything is computed or allocated from
// it.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "formats/tensor_file.h"
#include "model/config.h"

namespace concerto::model {

// Far above any model this engine will see; low enough that products of two stay inside 2^53.
inline constexpr int kMaxLayers = 1024;
inline constexpr int kMaxEmbd = 1 << 17;
inline constexpr int kMaxFf = 1 << 20;
inline constexpr int kMaxHeads = 1024;
inline constexpr int kMaxHeadDim = 256;  // kernels.h AttentionJob
inline constexpr int kMaxVocab = 1 << 22;
inline constexpr int kMaxContext = 1 << 24;  // angles.h

// value in [0, most], or kCorrupt "path: what: expected 0 to most, found value".
base::Result<int> bounded(std::string_view path, std::string_view what, uint64_t value, int most);

// V: the rows of the embedding matrix.
base::Result<int> vocab_rows(const formats::TensorFile& file, std::string_view embedding);

// The relations between the numbers, and what the kernels need of them; `path` begins the messages.
base::Status check_config(const ModelConfig& config, std::string_view path);

}  // namespace concerto::model
