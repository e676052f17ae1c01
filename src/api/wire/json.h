// JSON of outside bytes, bounded before anything is built from it. Internal to wire/: it brings nlohmann-json along.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace concerto::api {

using Json = nlohmann::ordered_json;

constexpr int kMaxJsonDepth = 64;

// The body of a request: UTF-8, at most 64 levels deep, no key twice in an object, an object at the top.
// kInvalidArgument names the byte where it goes wrong.
base::Result<Json> parse_object(std::string_view body);

// "null", "boolean", "integer", "number", "string", "array", "object".
std::string_view type_name(const Json& value);

// Text for a response. Bytes that are no UTF-8 (a bug of ours) become U+FFFD rather than an exception.
std::string dump(const Json& value);

// A float as the shortest decimal that reads back to it: 0.1F is 0.1, not 0.10000000149011612.
double shortest(float value);

// Reads the fields of one object strictly: a value of another type or out of range is an error that names the field,
// what was expected and what was found. An absent field and null leave the target as it was.
class FieldReader {
 public:
  // `path` is prefixed to names in errors: "messages[2]".
  FieldReader(const Json& object, std::string path) : object_(object), path_(std::move(path)) {}

  // nullptr when absent or null.
  [[nodiscard]] const Json* find(const char* name) const;
  [[nodiscard]] std::string path_of(std::string_view name) const;

  base::Status boolean(const char* name, bool* out) const;
  base::Status number(const char* name, double low, double high, std::optional<float>* out) const;
  base::Status integer(const char* name, int64_t low, int64_t high, std::optional<int>* out) const;
  base::Status string(const char* name, size_t max_bytes, std::string* out) const;
  // As string(), and it must be there and not be empty.
  base::Status required_string(const char* name, size_t max_bytes, std::string* out) const;

  // "name: expected X, found Y" with param set.
  [[nodiscard]] tl::unexpected<base::Error> expected(std::string_view name, std::string_view what,
                                                     const Json& found) const;
  [[nodiscard]] tl::unexpected<base::Error> unsupported(std::string_view name, std::string_view why) const;

 private:
  const Json& object_;
  std::string path_;
};

}  // namespace concerto::api
