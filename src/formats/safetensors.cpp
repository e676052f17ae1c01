#include "formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "formats/json_reader.h"
#include "formats/printable.h"
#include "formats/safetensors_header.h"

namespace concerto::formats {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr size_t kMaxIndexBytes = 64 << 20;  // the index of the largest published models has about 10 MB
constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";
constexpr std::string_view kSuffix = ".safetensors";

// A file of the index's own folder: no separator, so neither "../x" nor "/x", and no hidden file.
bool is_plain_shard_name(std::string_view file) {
  if (file.size() <= kSuffix.size() || file.size() > 255 || !file.ends_with(kSuffix) || file.front() == '.')
    return false;
  return std::none_of(file.begin(), file.end(), [](char c) {
    return c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> parse_safetensors_index(std::string_view json,
                                                                                 const std::string& name) {
  JsonReader in(json, name);
  std::vector<std::pair<std::string, std::string>> out;
  bool seen = false;
  const Status read = in.object([&](std::string_view key) -> Status {
    if (key != "weight_map") return in.skip();
    if (seen) return in.error(Code::kCorrupt, "once", "twice");
    seen = true;
    return in.object([&](std::string_view tensor) -> Status {
      TRY(std::string file, in.string());
      if (!is_plain_shard_name(file))
        return in.error(Code::kCorrupt, "a file of this folder, NAME.safetensors",
                        fmt::format("\"{}\"", printable(file)));
      out.emplace_back(tensor, std::move(file));
      return {};
    });
  });
  TRY_STATUS(read);
  TRY_STATUS(in.end());
  if (out.empty())
    return base::fail(Code::kCorrupt, fmt::format("{}: weight_map: expected tensors, found {}", name,
                                                  seen ? "an empty object" : "nothing"));
  std::sort(out.begin(), out.end());
  for (size_t i = 1; i < out.size(); ++i) {
    if (out[i].first == out[i - 1].first)
      return base::fail(Code::kCorrupt,
                        fmt::format("{}: weight_map: {}: expected once, found twice", name, printable(out[i].first)));
  }
  return out;
}

const TensorInfo* Safetensors::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

void Safetensors::release(std::span<const std::byte> bytes) const {
  for (const auto& file : files_) {
    const auto all = file->bytes();
    if (bytes.data() >= all.data() && bytes.data() < all.data() + all.size()) return file->release(bytes);
  }
}

Status Safetensors::index_names() {
  by_name_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!by_name_.emplace(tensors_[i].name, i).second)
      return base::fail(Code::kCorrupt,
                        fmt::format("{}: {}: expected in one shard, found in two", path_, printable(tensors_[i].name)));
  }
  return {};
}

Result<std::unique_ptr<Safetensors>> Safetensors::from_memory(std::span<const std::byte> bytes, std::string name) {
  std::unique_ptr<Safetensors> out(new Safetensors(std::move(name)));
  TRY(out->tensors_, parse_safetensors(bytes, out->path_));
  TRY_STATUS(out->index_names());
  return out;
}

Result<std::unique_ptr<Safetensors>> Safetensors::open_file(const std::string& path) {
  TRY(auto file, MappedFile::open(path));
  TRY(auto out, from_memory(file->bytes(), path));
  out->files_.push_back(std::move(file));
  return out;
}

Result<std::unique_ptr<Safetensors>> Safetensors::open_index(const std::string& path) {
  TRY(const auto index_file, MappedFile::open(path));
  const auto text = index_file->bytes();
  if (text.size() > kMaxIndexBytes)
    return base::fail(Code::kTooLarge,
                      fmt::format("{}: expected at most {} bytes, found {}", path, kMaxIndexBytes, text.size()));
  TRY(const auto weight_map, parse_safetensors_index({reinterpret_cast<const char*>(text.data()), text.size()}, path));
  std::vector<std::string> shards;
  for (const auto& [tensor, shard] : weight_map) shards.push_back(shard);
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());

  std::unique_ptr<Safetensors> out(new Safetensors(path));
  const auto folder = std::filesystem::path(path).parent_path();
  size_t missing = 0;
  std::string first_missing;
  for (const auto& shard : shards) {
    if (is_there(folder / shard)) continue;
    if (missing++ == 0) first_missing = shard;
  }
  if (missing != 0)
    return base::fail(Code::kNotFound,
                      fmt::format("{}: {}: expected beside the index, found nothing ({} of {} shards missing; was the "
                                  "download completed?)",
                                  path, printable(first_missing), missing, shards.size()));
  size_t taken = 0;
  for (const auto& shard : shards) {
    const std::string shard_path = (folder / shard).string();
    TRY(auto file, MappedFile::open(shard_path));
    TRY(auto tensors, parse_safetensors(file->bytes(), shard_path));
    out->files_.push_back(std::move(file));
    for (auto& tensor : tensors) {
      // The index decides: what it lists elsewhere, or not at all, is not part of the model.
      const auto it = std::lower_bound(weight_map.begin(), weight_map.end(), tensor.name,
                                       [](const auto& entry, const std::string& key) { return entry.first < key; });
      if (it == weight_map.end() || it->first != tensor.name || it->second != shard) continue;
      ++taken;
      out->tensors_.push_back(std::move(tensor));
    }
  }
  TRY_STATUS(out->index_names());
  if (taken != weight_map.size()) {
    for (const auto& [tensor, shard] : weight_map) {
      if (out->find(tensor) == nullptr)
        return base::fail(Code::kCorrupt, fmt::format("{}: {}: expected in {}, found nothing", path, printable(tensor),
                                                      printable(shard)));
    }
  }
  return out;
}

Result<std::unique_ptr<Safetensors>> Safetensors::open(const std::string& path) {
  std::error_code error;
  const std::filesystem::path given(path);
  if (!std::filesystem::is_directory(given, error))
    return path.ends_with(".index.json") ? open_index(path) : open_file(path);
  if (is_there(given / kSingle)) return open_file((given / kSingle).string());
  if (is_there(given / kIndex)) return open_index((given / kIndex).string());
  for (const char* other : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (is_there(given / other))
      return base::fail(Code::kUnsupported,
                        fmt::format("{}: expected {} or {}, found {}", path, kSingle, kIndex, other));
  }
  return base::fail(Code::kNotFound, fmt::format("{}: expected {} or {}, found neither", path, kSingle, kIndex));
}

}  // namespace concerto::formats
