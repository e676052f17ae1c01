// Sidecar: the packed weights of a model in a file beside it, so that the next start maps them instead of packing anew.
//
// The file is a header page of text, then the bytes of the arena. The header names the weights (digest.h), the layouts
// (a fingerprint: it changes by itself when a layout does), the number of bytes and a checksum of samples of them. A
// sidecar that says anything else than expected is never used.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/tensor_type.h"
#include "formats/mapped_file.h"

namespace concerto::model {

enum class SidecarUse {
  kIgnore,
  kRead,   // map it when it is there and of these very weights, else pack
  kWrite,  // pack and write it; an old one is replaced
};

// What a sidecar must have been made of to be of use.
struct SidecarKey {
  std::string weights;  // WeightDigest
  std::string layout;   // layout_fingerprint()
  size_t bytes = 0;     // of the arena
};

// FILE.gguf.packed, or FOLDER/weights.packed; with a type that the weights are quantised to: ….Q4_K.packed.
std::string sidecar_path(const std::string& model_path, std::optional<base::TensorType> quantize_to);

// 32 hex digits that tell the packed layouts of this build from those of others.
std::string layout_fingerprint();

// The arena's bytes in it.
std::span<const std::byte> sidecar_arena(const formats::MappedFile& sidecar);

// kNotFound: no such file. kCorrupt: cut short, changed or made of something else; the message says what was found.
base::Result<std::unique_ptr<formats::MappedFile>> map_sidecar(const std::string& path, const SidecarKey& key);

// Written beside, synced, then renamed: `path` is the old file or the whole new one. kIo: no room, no right to write.
base::Status write_sidecar(const std::string& path, const SidecarKey& key, std::span<const std::byte> arena);

}  // namespace concerto::model
