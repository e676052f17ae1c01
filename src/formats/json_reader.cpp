#include "formats/json_reader.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "formats/printable.h"

namespace concerto::formats {

using base::Code;
using base::Result;
using base::Status;

namespace {

constexpr int kMaxDepth = 64;

const char* kind_name(JsonReader::Kind kind) {
  switch (kind) {
    case JsonReader::Kind::kObject:
      return "an object";
    case JsonReader::Kind::kArray:
      return "an array";
    case JsonReader::Kind::kString:
      return "a string";
    case JsonReader::Kind::kNumber:
      return "a number";
    case JsonReader::Kind::kBool:
      return "true or false";
    case JsonReader::Kind::kNull:
      return "null";
  }
  return "a value";
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

tl::unexpected<base::Error> JsonReader::error(Code code, std::string_view expected, std::string_view found) const {
  return base::fail(code,
                    fmt::format("{}: {}{}expected {}, found {} (byte {})", name_, printable(path_),
                                path_.empty() ? "" : ": ", expected, found, at_),
                    path_.size() <= 100 ? path_ : std::string());
}

tl::unexpected<base::Error> JsonReader::syntax(std::string_view expected) const {
  if (at_ >= text_.size()) return error(Code::kCorrupt, expected, "the end of the file");
  return error(Code::kCorrupt, expected, fmt::format("\"{}\"", printable(text_.substr(at_, 12))));
}

void JsonReader::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++at_;
  }
}

Result<JsonReader::Kind> JsonReader::peek() {
  skip_space();
  const char c = at_ < text_.size() ? text_[at_] : '\0';
  switch (c) {
    case '{':
      return Kind::kObject;
    case '[':
      return Kind::kArray;
    case '"':
      return Kind::kString;
    case 't':
    case 'f':
      return Kind::kBool;
    case 'n':
      return Kind::kNull;
    default:
      if (c == '-' || is_digit(c)) return Kind::kNumber;
      return syntax("a JSON value");
  }
}

Status JsonReader::expect(Kind kind) {
  TRY(const Kind found, peek());
  if (found != kind) return error(Code::kCorrupt, kind_name(kind), kind_name(found));
  return {};
}

Status JsonReader::open(Kind kind) {
  TRY_STATUS(expect(kind));
  if (++depth_ > kMaxDepth)
    return error(Code::kCorrupt, fmt::format("at most {} nested objects and arrays", kMaxDepth), "more");
  ++at_;
  return {};
}

Result<bool> JsonReader::next(char close, bool first) {
  skip_space();
  if (at_ < text_.size() && text_[at_] == close) {
    ++at_;
    return false;
  }
  if (first) return true;
  if (at_ >= text_.size() || text_[at_] != ',') return syntax(close == '}' ? "\",\" or \"}\"" : "\",\" or \"]\"");
  ++at_;
  return true;
}

Result<std::string> JsonReader::key() {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != '"') return syntax("a quoted key");
  TRY(std::string key, quoted());
  skip_space();
  if (at_ >= text_.size() || text_[at_] != ':') return syntax("\":\"");
  ++at_;
  return key;
}

void JsonReader::enter(std::string_view key) {
  if (!path_.empty()) path_ += '.';
  path_ += key;
}

Result<std::string> JsonReader::string() {
  TRY_STATUS(expect(Kind::kString));
  return quoted();
}

Result<std::string> JsonReader::quoted() {
  ++at_;
  std::string out;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      ++at_;
      return out;
    }
    if (c == '\\') {
      TRY_STATUS(escape(&out));
      continue;
    }
    // A run of plain characters, checked and copied at once.
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return syntax("no control character in a string");
      ++at_;
    }
    const std::string_view run = text_.substr(begin, at_ - begin);
    const size_t valid = base::utf8_valid_prefix(run);
    if (valid != run.size()) {
      at_ = begin + valid;
      return error(Code::kCorrupt, "valid UTF-8", fmt::format("byte 0x{:02x}", static_cast<unsigned char>(run[valid])));
    }
    out += run;
  }
  return syntax("a closing quote");
}

Result<uint32_t> JsonReader::hex4() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    uint32_t digit = 0;
    if (is_digit(c)) {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A' + 10);
    } else {
      return syntax("four hexadecimal digits after \\u");
    }
    value = value << 4 | digit;
  }
  return value;
}

Status JsonReader::escape(std::string* out) {
  ++at_;  // the backslash
  if (at_ >= text_.size()) return syntax("an escape");
  const char c = text_[at_];
  constexpr std::string_view kNames = "\"\\/bfnrt";
  constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
  if (const size_t plain = kNames.find(c); plain != std::string_view::npos) {
    *out += kValues[plain];
    ++at_;
    return {};
  }
  if (c != 'u') return syntax("an escape");
  ++at_;
  TRY(uint32_t point, hex4());
  if (point >= 0xD800 && point < 0xDC00) {
    if (text_.substr(at_, 2) != "\\u") return syntax("the second half of a surrogate pair");
    at_ += 2;
    TRY(const uint32_t low, hex4());
    if (low < 0xDC00 || low > 0xDFFF) return error(Code::kCorrupt, "a low surrogate", fmt::format("\\u{:04x}", low));
    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
  } else if (point >= 0xDC00 && point <= 0xDFFF) {
    return error(Code::kCorrupt, "a high surrogate first", fmt::format("\\u{:04x}", point));
  }
  base::utf8_append(out, point);
  return {};
}

Result<std::string_view> JsonReader::number_text(bool* integral) {
  TRY_STATUS(expect(Kind::kNumber));
  const size_t begin = at_;
  const auto digits = [this] {
    const size_t from = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ - from;
  };
  *integral = true;
  if (text_[at_] == '-') ++at_;
  const bool zero = at_ < text_.size() && text_[at_] == '0';
  const size_t whole = digits();
  if (whole == 0 || (zero && whole > 1)) return syntax("digits without a leading zero");
  if (at_ < text_.size() && text_[at_] == '.') {
    *integral = false;
    ++at_;
    if (digits() == 0) return syntax("digits after the point");
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    *integral = false;
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    if (digits() == 0) return syntax("digits of the exponent");
  }
  return text_.substr(begin, at_ - begin);
}

Result<double> JsonReader::number() {
  bool integral = false;
  TRY(const std::string_view text, number_text(&integral));
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  // from_chars reports underflow like overflow; a value too small is as wrong here as one too large.
  if (result.ec != std::errc() || !std::isfinite(value))
    return error(Code::kCorrupt, "a number that fits a double", printable(text));
  return value;
}

Result<uint64_t> JsonReader::uint64() {
  bool integral = false;
  TRY(const std::string_view text, number_text(&integral));
  uint64_t value = 0;
  if (!integral || std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc() || text[0] == '-')
    return error(Code::kCorrupt, "a whole number from 0 to 2^64-1", printable(text));
  return value;
}

Result<int64_t> JsonReader::int64() {
  bool integral = false;
  TRY(const std::string_view text, number_text(&integral));
  int64_t value = 0;
  if (!integral || std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc())
    return error(Code::kCorrupt, "a whole number from -2^63 to 2^63-1", printable(text));
  return value;
}

Status JsonReader::literal(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return syntax(fmt::format("\"{}\"", word));
  at_ += word.size();
  return {};
}

Result<bool> JsonReader::boolean() {
  TRY_STATUS(expect(Kind::kBool));
  const bool value = text_[at_] == 't';
  TRY_STATUS(literal(value ? "true" : "false"));
  return value;
}

Status JsonReader::null() {
  TRY_STATUS(expect(Kind::kNull));
  return literal("null");
}

Status JsonReader::skip() {
  TRY(const Kind kind, peek());
  switch (kind) {
    case Kind::kObject:
      return object([this](std::string_view) { return skip(); });
    case Kind::kArray:
      return array([this](size_t) { return skip(); });
    case Kind::kString: {
      TRY(const std::string text, string());
      (void)text;
      return {};
    }
    case Kind::kNumber: {
      bool integral = false;
      TRY(const std::string_view text, number_text(&integral));
      (void)text;
      return {};
    }
    case Kind::kBool: {
      TRY(const bool value, boolean());
      (void)value;
      return {};
    }
    case Kind::kNull:
      return null();
  }
  return {};
}

Status JsonReader::end() {
  skip_space();
  if (at_ != text_.size()) return syntax("the end of the file");
  return {};
}

}  // namespace concerto::formats
