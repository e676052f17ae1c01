#include "formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "formats/mapped_file.h"
#include "formats/printable.h"

namespace concerto::formats {
namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr uint32_t kMagic = 0x46554747;  // "GGUF", little-endian
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMaxDimensions = 4;
constexpr size_t kMaxNameBytes = 256;
constexpr int kMaxArrayDepth = 4;

enum ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
  kValueTypes
};

constexpr const char* kValueNames[] = {"uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
                                       "bool",  "string", "array",  "uint64", "int64",  "float64"};

// Bytes of a fixed-size value; 0 for strings and arrays.
constexpr size_t value_bytes(uint32_t type) {
  switch (type) {
    case kU8:
    case kI8:
    case kBool:
      return 1;
    case kU16:
    case kI16:
      return 2;
    case kU32:
    case kI32:
    case kF32:
      return 4;
    case kU64:
    case kI64:
    case kF64:
      return 8;
    default:
      return 0;
  }
}

const char* value_name(uint32_t type) { return type < kValueTypes ? kValueNames[type] : "unknown"; }

// Types that ggml defines and this build does not read, so that the error can name them.
std::string foreign_type_name(uint32_t type) {
  constexpr std::pair<uint32_t, const char*> kNames[] = {
      {9, "Q8_1"},   {10, "Q2_K"},   {11, "Q3_K"},  {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
      {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"}, {23, "IQ4_XS"},  {24, "I8"},     {25, "I16"},
      {26, "I32"},   {27, "I64"},    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"}};
  for (const auto& [id, name] : kNames) {
    if (id == type) return fmt::format("{} ({})", name, type);
  }
  return fmt::format("{}", type);
}

// A metadata value stays where it is in the file; only its place and type are kept.
struct Value {
  uint32_t type = 0;
  uint32_t element_type = 0;  // of an array
  uint64_t count = 0;         // of an array
  size_t offset = 0;          // first byte of the value (of the first element)
};

// Reads forward through the header; every read checks what is left.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  [[nodiscard]] size_t offset() const { return at_; }
  [[nodiscard]] size_t left() const { return bytes_.size() - at_; }

  template <class T>
  Result<T> read(std::string_view what) {
    if (left() < sizeof(T)) return truncated(what, sizeof(T));
    const T value = base::load_le<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return value;
  }

  Result<std::string_view> read_string(std::string_view what) {
    TRY(const uint64_t length, read<uint64_t>(what));
    if (length > left()) return truncated(what, length);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return text;
  }

  Status skip(uint64_t count, std::string_view what) {
    if (count > left()) return truncated(what, count);
    at_ += count;
    return {};
  }

  // `subject` may come from the file.
  [[nodiscard]] tl::unexpected<base::Error> error(Code code, std::string_view subject, std::string_view text) const {
    return base::fail(code, fmt::format("{}: {}: {}", name_, printable(subject), text), printable(subject));
  }

 private:
  [[nodiscard]] tl::unexpected<base::Error> truncated(std::string_view what, uint64_t needed) const {
    return error(Code::kCorrupt, what,
                 fmt::format("expected {} more bytes at offset {}, found {} (file truncated?)", needed, at_, left()));
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t at_ = 0;
};

class GgufFile final : public Gguf {
 public:
  Status parse(std::span<const std::byte> bytes, std::string name, std::unique_ptr<MappedFile> mapped) {
    bytes_ = bytes;
    name_ = std::move(name);
    mapped_ = std::move(mapped);
    Cursor cursor(bytes_, name_);
    TRY(const uint32_t magic, cursor.read<uint32_t>("magic"));
    if (magic != kMagic)
      return cursor.error(Code::kCorrupt, "magic",
                          fmt::format("expected \"GGUF\", found 0x{:08x}; is this a GGUF file?", magic));
    TRY(version_, cursor.read<uint32_t>("version"));
    if (version_ != 2 && version_ != 3)
      return cursor.error(Code::kUnsupported, "version",
                          fmt::format("expected 2 or 3 (little-endian), found {}", version_));
    TRY(const uint64_t tensor_count, cursor.read<uint64_t>("tensor count"));
    TRY(const uint64_t key_count, cursor.read<uint64_t>("metadata count"));
    // Smallest possible entries: a key is 8 + 4 + 1 bytes, a tensor 8 + 4 + 4 + 8.
    if (key_count > cursor.left() / 13)
      return cursor.error(Code::kCorrupt, "metadata count",
                          fmt::format("expected at most {}, found {}", cursor.left() / 13, key_count));
    if (tensor_count > cursor.left() / 24)
      return cursor.error(Code::kCorrupt, "tensor count",
                          fmt::format("expected at most {}, found {}", cursor.left() / 24, tensor_count));
    for (uint64_t i = 0; i < key_count; ++i) TRY_STATUS(parse_key(cursor, i));
    TRY(const uint64_t alignment, read_alignment(cursor));
    std::vector<uint64_t> offsets;
    for (uint64_t i = 0; i < tensor_count; ++i) TRY_STATUS(parse_tensor(cursor, i, alignment, &offsets));
    return place_tensors(cursor, alignment, offsets);
  }

  [[nodiscard]] std::string_view path() const override { return name_; }
  [[nodiscard]] const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override {
    const auto it = tensor_index_.find(name);
    return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
  }
  void release(std::span<const std::byte> bytes) const override {
    if (mapped_) mapped_->release(bytes);
  }
  [[nodiscard]] uint32_t version() const override { return version_; }
  [[nodiscard]] bool has(std::string_view key) const override { return values_.contains(key); }
  [[nodiscard]] std::vector<std::string_view> keys() const override { return key_order_; }

  [[nodiscard]] Result<uint64_t> get_uint(std::string_view key) const override {
    TRY(const Value value, find_value(key));
    TRY(const int64_t number, integer(key, value.type, value.offset));
    if (value.type != kU64 && number < 0) return wrong(key, "a number >= 0", fmt::format("{}", number));
    return static_cast<uint64_t>(number);
  }

  [[nodiscard]] Result<double> get_float(std::string_view key) const override {
    TRY(const Value value, find_value(key));
    double number = 0;
    if (value.type == kF32) {
      number = base::load_le<float>(at(value.offset));
    } else if (value.type == kF64) {
      number = base::load_le<double>(at(value.offset));
    } else {
      TRY(const int64_t whole, integer(key, value.type, value.offset));
      number = static_cast<double>(whole);
    }
    if (!std::isfinite(number)) return wrong(key, "a finite number", fmt::format("{}", number));
    return number;
  }

  [[nodiscard]] Result<bool> get_bool(std::string_view key) const override {
    TRY(const Value value, find_value(key));
    if (value.type != kBool) return wrong(key, "bool", value_name(value.type));
    const auto byte = base::load_le<uint8_t>(at(value.offset));
    if (byte > 1) return wrong(key, "0 or 1", fmt::format("{}", byte));
    return byte == 1;
  }

  [[nodiscard]] Result<std::string_view> get_string(std::string_view key) const override {
    TRY(const Value value, find_value(key));
    if (value.type != kString) return wrong(key, "string", value_name(value.type));
    size_t offset = value.offset;
    return string_at(&offset);
  }

  [[nodiscard]] Result<std::vector<std::string_view>> get_strings(std::string_view key) const override {
    TRY(const Value value, find_array(key));
    if (value.element_type != kString) return wrong(key, "array of string", value_name(value.element_type));
    std::vector<std::string_view> out;
    out.reserve(value.count);
    size_t offset = value.offset;
    for (uint64_t i = 0; i < value.count; ++i) out.push_back(string_at(&offset));
    return out;
  }

  [[nodiscard]] Result<std::vector<int64_t>> get_ints(std::string_view key) const override {
    TRY(const Value value, find_array(key));
    std::vector<int64_t> out;
    const size_t step = value_bytes(value.element_type);
    if (step != 0) out.reserve(value.count);
    for (uint64_t i = 0; i < value.count; ++i) {
      TRY(const int64_t number, integer(key, value.element_type, value.offset + i * step));
      out.push_back(number);
    }
    return out;
  }

  [[nodiscard]] Result<std::vector<float>> get_floats(std::string_view key) const override {
    TRY(const Value value, find_array(key));
    if (value.element_type != kF32) return wrong(key, "array of float32", value_name(value.element_type));
    std::vector<float> out(value.count);
    for (uint64_t i = 0; i < value.count; ++i) out[i] = base::load_le<float>(at(value.offset + i * 4));
    return out;
  }

 private:
  [[nodiscard]] const std::byte* at(size_t offset) const { return bytes_.data() + offset; }

  // The string was checked while parsing.
  std::string_view string_at(size_t* offset) const {
    const auto length = base::load_le<uint64_t>(at(*offset));
    const std::string_view text(reinterpret_cast<const char*>(at(*offset + 8)), length);
    *offset += 8 + length;
    return text;
  }

  [[nodiscard]] tl::unexpected<base::Error> wrong(std::string_view key, std::string_view expected,
                                                  std::string_view found) const {
    return base::fail(Code::kCorrupt,
                      fmt::format("{}: {}: expected {}, found {}", name_, printable(key), expected, found),
                      printable(key));
  }

  [[nodiscard]] Result<Value> find_value(std::string_view key) const {
    const auto it = values_.find(key);
    if (it == values_.end())
      return base::fail(Code::kNotFound,
                        fmt::format("{}: {}: expected in the metadata, found nothing", name_, printable(key)),
                        printable(key));
    return it->second;
  }

  [[nodiscard]] Result<Value> find_array(std::string_view key) const {
    TRY(const Value value, find_value(key));
    if (value.type != kArray) return wrong(key, "array", value_name(value.type));
    return value;
  }

  [[nodiscard]] Result<int64_t> integer(std::string_view key, uint32_t type, size_t offset) const {
    const std::byte* p = at(offset);
    switch (type) {
      case kU8:
        return base::load_le<uint8_t>(p);
      case kI8:
        return base::load_le<int8_t>(p);
      case kU16:
        return base::load_le<uint16_t>(p);
      case kI16:
        return base::load_le<int16_t>(p);
      case kU32:
        return base::load_le<uint32_t>(p);
      case kI32:
        return base::load_le<int32_t>(p);
      case kI64:
        return base::load_le<int64_t>(p);
      case kU64: {
        const auto value = base::load_le<uint64_t>(p);
        if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
          return wrong(key, "a number below 2^63", fmt::format("{}", value));
        return static_cast<int64_t>(value);
      }
      default:
        return wrong(key, "an integer", value_name(type));
    }
  }

  Status skip_value(Cursor& cursor, uint32_t type, std::string_view key, Value* value, int depth) {
    if (type >= kValueTypes)
      return cursor.error(
          Code::kCorrupt, key,
          fmt::format("expected a value type below {}, found {}", static_cast<uint32_t>(kValueTypes), type));
    if (type == kString) {
      TRY(const std::string_view text, cursor.read_string(key));
      (void)text;
      return {};
    }
    if (type != kArray) return cursor.skip(value_bytes(type), key);
    if (depth >= kMaxArrayDepth)
      return cursor.error(Code::kCorrupt, key,
                          fmt::format("expected arrays at most {} deep, found more", kMaxArrayDepth));
    TRY(const uint32_t element, cursor.read<uint32_t>(key));
    TRY(const uint64_t count, cursor.read<uint64_t>(key));
    if (element >= kValueTypes)
      return cursor.error(
          Code::kCorrupt, key,
          fmt::format("expected an element type below {}, found {}", static_cast<uint32_t>(kValueTypes), element));
    const size_t least = element == kString ? 8 : element == kArray ? 12 : value_bytes(element);
    if (count > cursor.left() / least)
      return cursor.error(
          Code::kCorrupt, key,
          fmt::format("expected at most {} elements in the bytes left, found {}", cursor.left() / least, count));
    if (value != nullptr) *value = {kArray, element, count, cursor.offset()};
    if (value_bytes(element) != 0) return cursor.skip(count * value_bytes(element), key);
    for (uint64_t i = 0; i < count; ++i) TRY_STATUS(skip_value(cursor, element, key, nullptr, depth + 1));
    return {};
  }

  Status parse_key(Cursor& cursor, uint64_t index) {
    TRY(const std::string_view key, cursor.read_string(fmt::format("metadata key {}", index)));
    if (key.empty() || key.size() > 65535)
      return cursor.error(Code::kCorrupt, fmt::format("metadata key {}", index),
                          fmt::format("expected 1 to 65535 bytes, found {}", key.size()));
    TRY(const uint32_t type, cursor.read<uint32_t>(key));
    Value value{type, 0, 0, cursor.offset()};
    TRY_STATUS(skip_value(cursor, type, key, &value, 0));
    if (!values_.emplace(key, value).second)
      return cursor.error(Code::kCorrupt, key, "expected once in the metadata, found twice");
    key_order_.push_back(key);
    return {};
  }

  Result<uint64_t> read_alignment(const Cursor& cursor) const {
    if (!has("general.alignment")) return kDefaultAlignment;
    TRY(const uint64_t alignment, get_uint("general.alignment"));
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > 65536)
      return cursor.error(Code::kCorrupt, "general.alignment",
                          fmt::format("expected a power of two up to 65536, found {}", alignment));
    return alignment;
  }

  Status parse_tensor(Cursor& cursor, uint64_t index, uint64_t alignment, std::vector<uint64_t>* offsets) {
    TRY(const std::string_view name, cursor.read_string(fmt::format("name of tensor {}", index)));
    if (name.empty() || name.size() > kMaxNameBytes)
      return cursor.error(Code::kCorrupt, fmt::format("name of tensor {}", index),
                          fmt::format("expected 1 to {} bytes, found {}", kMaxNameBytes, name.size()));
    TRY(const uint32_t dimensions, cursor.read<uint32_t>(name));
    if (dimensions == 0 || dimensions > kMaxDimensions)
      return cursor.error(Code::kCorrupt, name,
                          fmt::format("expected 1 to {} dimensions, found {}", kMaxDimensions, dimensions));
    TensorInfo info;
    info.name = name;
    info.shape.resize(dimensions);
    uint64_t elements = 1;
    for (uint32_t d = 0; d < dimensions; ++d) {  // the file lists the fastest dimension first
      TRY(const uint64_t extent, cursor.read<uint64_t>(name));
      if (extent == 0 || extent > static_cast<uint64_t>(std::numeric_limits<int32_t>::max()) ||
          !base::checked_mul(elements, extent, &elements))
        return cursor.error(
            Code::kCorrupt, name,
            fmt::format("dimension {}: expected 1 to 2^31-1 and a product below 2^64, found {}", d, extent));
      info.shape[dimensions - 1 - d] = extent;
    }
    TRY(const uint32_t type, cursor.read<uint32_t>(name));
    const auto* geometry = base::find_geometry(type);
    if (geometry == nullptr) {
      std::string known;
      for (const auto& g : base::kTensorGeometries) known += fmt::format("{}{}", known.empty() ? "" : ", ", g.name);
      return cursor.error(Code::kUnsupported, name,
                          fmt::format("expected a tensor type among {}, found {}", known, foreign_type_name(type)));
    }
    TRY(const uint64_t offset, cursor.read<uint64_t>(name));
    if (info.shape.back() % geometry->block_weights != 0)
      return cursor.error(Code::kCorrupt, name,
                          fmt::format("expected rows of a multiple of {} weights for {}, found {}",
                                      geometry->block_weights, geometry->name, info.shape.back()));
    uint64_t bytes = 0;
    if (!base::checked_mul(elements / geometry->block_weights, geometry->block_bytes, &bytes))
      return cursor.error(Code::kCorrupt, name, "expected a size below 2^64 bytes, found more");
    if (offset % alignment != 0)
      return cursor.error(Code::kCorrupt, name,
                          fmt::format("offset: expected a multiple of {}, found {}", alignment, offset));
    info.type = geometry->type;
    info.bytes = {static_cast<const std::byte*>(nullptr), 0};
    sizes_.push_back(bytes);
    offsets->push_back(offset);
    tensors_.push_back(std::move(info));
    return {};
  }

  Status place_tensors(Cursor& cursor, uint64_t alignment, const std::vector<uint64_t>& offsets) {
    const uint64_t data = (cursor.offset() + alignment - 1) / alignment * alignment;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      uint64_t begin = 0;
      uint64_t end = 0;
      if (!base::checked_add(data, offsets[i], &begin) || !base::checked_add(begin, sizes_[i], &end) ||
          end > bytes_.size())
        return cursor.error(
            Code::kCorrupt, tensors_[i].name,
            fmt::format("expected {} bytes at offset {} of the data, found a file of {} bytes, {} before the data "
                        "(truncated?)",
                        sizes_[i], offsets[i], bytes_.size(), data));
      tensors_[i].bytes = bytes_.subspan(begin, sizes_[i]);
      if (!tensor_index_.emplace(tensors_[i].name, i).second)
        return cursor.error(Code::kCorrupt, tensors_[i].name, "expected once, found twice");
    }
    return check_overlap(cursor);
  }

  [[nodiscard]] Status check_overlap(const Cursor& cursor) const {
    std::vector<const TensorInfo*> in_order;
    in_order.reserve(tensors_.size());
    for (const auto& tensor : tensors_) in_order.push_back(&tensor);
    std::sort(in_order.begin(), in_order.end(),
              [](const auto* a, const auto* b) { return a->bytes.data() < b->bytes.data(); });
    for (size_t i = 1; i < in_order.size(); ++i) {
      const auto previous = in_order[i - 1]->bytes;
      if (in_order[i]->bytes.data() < previous.data() + previous.size())
        return cursor.error(
            Code::kCorrupt, in_order[i]->name,
            fmt::format("expected data of its own, found an overlap with {}", printable(in_order[i - 1]->name)));
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  std::string name_;
  std::unique_ptr<MappedFile> mapped_;
  uint32_t version_ = 0;
  std::unordered_map<std::string_view, Value> values_;
  std::vector<std::string_view> key_order_;
  std::vector<TensorInfo> tensors_;
  std::vector<uint64_t> sizes_;
  std::unordered_map<std::string_view, size_t> tensor_index_;  // views into tensors_, which no longer grows
};

}  // namespace

base::Result<std::unique_ptr<Gguf>> Gguf::open(const std::string& path) {
  TRY(auto mapped, MappedFile::open(path));
  auto file = std::make_unique<GgufFile>();
  const auto bytes = mapped->bytes();
  TRY_STATUS(file->parse(bytes, path, std::move(mapped)));
  return std::unique_ptr<Gguf>(std::move(file));
}

base::Result<std::unique_ptr<Gguf>> Gguf::from_memory(std::span<const std::byte> bytes, std::string name) {
  auto file = std::make_unique<GgufFile>();
  TRY_STATUS(file->parse(bytes, std::move(name), nullptr));
  return std::unique_ptr<Gguf>(std::move(file));
}

}  // namespace concerto::formats
