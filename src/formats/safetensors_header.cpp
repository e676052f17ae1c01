#include "formats/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "formats/json_reader.h"
#include "formats/printable.h"

namespace concerto::formats {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr size_t kMaxDimensions = 8;               // ours: no weight has more than 4

struct Dtype {
  std::string_view name;
  base::TensorType type;
};
constexpr Dtype kDtypes[] = {
    {"F32", base::TensorType::kF32}, {"F16", base::TensorType::kF16}, {"BF16", base::TensorType::kBF16}};

struct Entry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Offsets may be anything below 2^63; extents stay below 2^31, since the engine counts rows and columns in int.
constexpr uint64_t kMaxExtent = (1ULL << 31) - 1;

Status read_numbers(JsonReader& in, size_t most, std::vector<uint64_t>* out) {
  return in.array([&](size_t index) -> Status {
    if (index >= most) return in.error(Code::kCorrupt, fmt::format("at most {} numbers", most), "more");
    TRY(const uint64_t number, in.uint64());
    out->push_back(number);
    return {};
  });
}

Status once(JsonReader& in, bool* seen) {
  if (*seen) return in.error(Code::kCorrupt, "once", "twice");
  *seen = true;
  return {};
}

Result<Entry> read_entry(JsonReader& in, std::string_view name) {
  Entry entry;
  entry.name = name;
  bool dtype = false;
  bool shape = false;
  bool offsets = false;
  const Status read = in.object([&](std::string_view key) -> Status {
    if (key == "dtype") {
      TRY_STATUS(once(in, &dtype));
      TRY(entry.dtype, in.string());
      return {};
    }
    if (key == "shape") {
      TRY_STATUS(once(in, &shape));
      TRY_STATUS(read_numbers(in, kMaxDimensions, &entry.shape));
      for (const uint64_t extent : entry.shape) {
        if (extent > kMaxExtent) return in.error(Code::kCorrupt, "dimensions up to 2^31-1", fmt::format("{}", extent));
      }
      return {};
    }
    if (key == "data_offsets") {
      TRY_STATUS(once(in, &offsets));
      std::vector<uint64_t> pair;
      TRY_STATUS(read_numbers(in, 2, &pair));
      if (pair.size() != 2) return in.error(Code::kCorrupt, "[begin, end]", fmt::format("{} numbers", pair.size()));
      entry.begin = pair[0];
      entry.end = pair[1];
      return {};
    }
    return in.error(Code::kCorrupt, "dtype, shape and data_offsets only", "another field");
  });
  TRY_STATUS(read);
  if (!dtype || !shape || !offsets)
    return in.error(Code::kCorrupt, "dtype, shape and data_offsets",
                    !dtype ? "no dtype" : (!shape ? "no shape" : "no data_offsets"));
  return entry;
}

Result<std::vector<Entry>> read_header(std::string_view json, const std::string& name) {
  JsonReader in(json, name);
  std::vector<Entry> entries;
  bool metadata = false;
  const Status read = in.object([&](std::string_view key) -> Status {
    if (key == "__metadata__") {
      TRY_STATUS(once(in, &metadata));
      return in.object([&](std::string_view) -> Status {
        TRY(const std::string value, in.string());
        (void)value;
        return {};
      });
    }
    if (key.empty()) return in.error(Code::kCorrupt, "a tensor name", "an empty string");
    TRY(Entry entry, read_entry(in, key));
    entries.push_back(std::move(entry));
    return {};
  });
  TRY_STATUS(read);
  TRY_STATUS(in.end());
  return entries;
}

}  // namespace

Result<std::vector<TensorInfo>> parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  const auto fail = [&](Code code, std::string_view subject, std::string_view expected, const std::string& found) {
    return base::fail(code, fmt::format("{}: {}: expected {}, found {}", name, printable(subject), expected, found),
                      printable(subject));
  };
  if (bytes.size() < kLengthBytes)
    return fail(Code::kCorrupt, "header length", "8 bytes", fmt::format("a file of {} bytes", bytes.size()));
  const auto length = base::load_le<uint64_t>(bytes.data());
  if (length > kMaxHeaderBytes)
    return fail(Code::kCorrupt, "header length", fmt::format("at most {}", kMaxHeaderBytes),
                fmt::format("{}; is this a safetensors file?", length));
  if (length > bytes.size() - kLengthBytes)
    return fail(Code::kCorrupt, "header length", fmt::format("at most {}", bytes.size() - kLengthBytes),
                fmt::format("{} (file truncated?)", length));
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + kLengthBytes;
  if (length == 0 || text[0] != '{')
    return fail(Code::kCorrupt, "header", "\"{\"", length == 0 ? "nothing" : printable({text, 1}));
  TRY(std::vector<Entry> entries, read_header({text, static_cast<size_t>(length)}, name));
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + length);

  // In the order of the data (empty tensors before what starts at the same place); then names, to find twins.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    if (a.begin != b.begin) return a.begin < b.begin;
    return a.end != b.end ? a.end < b.end : a.name < b.name;
  });
  std::vector<const std::string*> names;
  names.reserve(entries.size());
  for (const Entry& entry : entries) names.push_back(&entry.name);
  std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
  const auto twin =
      std::adjacent_find(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a == *b; });
  if (twin != names.end()) return fail(Code::kCorrupt, **twin, "once", "twice");

  std::vector<TensorInfo> tensors;
  tensors.reserve(entries.size());
  uint64_t covered = 0;
  for (Entry& entry : entries) {
    const auto* dtype =
        std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const Dtype& d) { return d.name == entry.dtype; });
    if (dtype == std::end(kDtypes))
      return fail(Code::kUnsupported, entry.name, "dtype F32, F16 or BF16", printable(entry.dtype));
    if (entry.begin != covered)
      return fail(Code::kCorrupt, entry.name, fmt::format("data to start at {}, where the previous ends", covered),
                  fmt::format("{} ({})", entry.begin, entry.begin < covered ? "an overlap" : "a gap"));
    if (entry.end < entry.begin || entry.end > data.size())
      return fail(Code::kCorrupt, entry.name, fmt::format("data to end between {} and {}", entry.begin, data.size()),
                  fmt::format("{}{}", entry.end, entry.end > data.size() ? " (file truncated?)" : ""));
    uint64_t size = base::geometry(dtype->type).block_bytes;
    for (const uint64_t extent : entry.shape) {
      if (!base::checked_mul(size, extent, &size))
        return fail(Code::kCorrupt, entry.name, "a size below 2^64 bytes",
                    fmt::format("[{}]", fmt::join(entry.shape, ", ")));
    }
    if (size != entry.end - entry.begin)
      return fail(Code::kCorrupt, entry.name,
                  fmt::format("{} bytes for {} [{}]", size, dtype->name, fmt::join(entry.shape, ", ")),
                  fmt::format("{}", entry.end - entry.begin));
    covered = entry.end;
    tensors.push_back({std::move(entry.name), dtype->type, std::move(entry.shape), data.subspan(entry.begin, size)});
  }
  if (covered != data.size())
    return fail(Code::kCorrupt, "data", fmt::format("{} bytes, as the tensors need", covered),
                fmt::format("{}", data.size()));
  return tensors;
}

}  // namespace concerto::formats
