// JsonReader: a strict pull parser (RFC 8259) for the JSON that comes with model files, which nobody has vouched for.
//
// It keeps no tree, so a header of 100 MB costs no more memory than what the caller keeps; nesting is bounded, every
// string is checked UTF-8, and a failed read names the file, the path inside it, what was expected and what was found:
//   "config.json: rope_scaling.factor: expected a number, found a string (byte 312)".
// Does not own the text. One reader, one thread, one pass: each value is read or skipped exactly once, in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace concerto::formats {

class JsonReader {
 public:
  enum class Kind { kObject, kArray, kString, kNumber, kBool, kNull };

  // `name` stands for the file in errors.
  JsonReader(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

  // The kind of the next value, judged by its first character; nothing is consumed.
  base::Result<Kind> peek();

  // Calls member(key) for each member; it must consume the value. Duplicate keys are passed on: the caller decides.
  template <class F>
  base::Status object(F&& member) {
    TRY_STATUS(open(Kind::kObject));
    const size_t mark = path_.size();
    for (bool first = true;; first = false) {
      TRY(const bool more, next('}', first));
      if (!more) break;
      TRY(const std::string key, this->key());
      enter(key);
      TRY_STATUS(member(std::string_view(key)));
      path_.resize(mark);
    }
    --depth_;
    return {};
  }

  // Calls element(index) for each element; it must consume the value.
  template <class F>
  base::Status array(F&& element) {
    TRY_STATUS(open(Kind::kArray));
    for (size_t index = 0;; ++index) {
      TRY(const bool more, next(']', index == 0));
      if (!more) break;
      TRY_STATUS(element(index));
    }
    --depth_;
    return {};
  }

  base::Result<std::string> string();
  base::Result<bool> boolean();
  base::Status null();
  base::Result<double> number();    // finite
  base::Result<uint64_t> uint64();  // written without sign, fraction or exponent
  base::Result<int64_t> int64();    // written without fraction or exponent
  base::Status skip();              // any one value, checked like the others
  // Reads null as nothing, otherwise what `read` (a member function of this class) reads.
  template <class T>
  base::Result<std::optional<T>> nullable(base::Result<T> (JsonReader::*read)()) {
    TRY(const Kind kind, peek());
    if (kind == Kind::kNull) {
      TRY_STATUS(null());
      return std::optional<T>();
    }
    TRY(T value, (this->*read)());
    return std::optional<T>(std::move(value));
  }

  // After the outermost value: only white space may follow.
  base::Status end();

  // An error at the current path, e.g. for a value out of its range.
  [[nodiscard]] tl::unexpected<base::Error> error(base::Code code, std::string_view expected,
                                                  std::string_view found) const;

 private:
  void skip_space();
  [[nodiscard]] tl::unexpected<base::Error> syntax(std::string_view expected) const;
  base::Status open(Kind kind);
  base::Result<bool> next(char close, bool first);  // false: the object or array ended
  base::Result<std::string> key();
  void enter(std::string_view key);
  base::Status expect(Kind kind);
  base::Result<std::string> quoted();
  base::Status escape(std::string* out);
  base::Result<uint32_t> hex4();
  base::Result<std::string_view> number_text(bool* integral);
  base::Status literal(std::string_view word);

  std::string_view text_;
  std::string name_;
  std::string path_;  // "a.b" of the value being read
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace concerto::formats
