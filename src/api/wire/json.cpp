#include "api/wire/json.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <unordered_set>

#include "base/utf8.h"

namespace concerto::api {
namespace {

using base::Code;
using base::fail;

struct TooDeep {};  // thrown out of the parser's callback, the only way to stop it

// What a value looks like in an error: numbers and short words themselves, else the type.
std::string describe(const Json& value) {
  if (value.is_number_float()) return fmt::format("number {:g}", value.get<double>());
  if (value.is_number_unsigned()) return fmt::format("integer {}", value.get<uint64_t>());
  if (value.is_number_integer()) return fmt::format("integer {}", value.get<int64_t>());
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.empty()) return "an empty string";
    if (text.size() <= 32) return fmt::format("string '{}'", text);
    return fmt::format("a string of {} bytes", text.size());
  }
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  return std::string(type_name(value));
}

}  // namespace

base::Result<Json> parse_object(std::string_view body) {
  if (body.empty()) return fail(Code::kInvalidArgument, "request body: expected a JSON object, found nothing");
  if (const size_t valid = base::utf8_valid_prefix(body); valid != body.size()) {
    return fail(Code::kInvalidArgument,
                fmt::format("request body: expected UTF-8, found an invalid sequence at byte {}", valid));
  }
  std::string twice;
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      if (depth >= kMaxJsonDepth) throw TooDeep();
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      if (!keys.back().insert(value.get<std::string>()).second && twice.empty()) twice = value.get<std::string>();
    }
    return true;
  };
  Json json;
  try {
    json = Json::parse(body.begin(), body.end(), check);
  } catch (const TooDeep&) {
    return fail(Code::kInvalidArgument,
                fmt::format("request body: expected at most {} levels of nesting, found more", kMaxJsonDepth));
  } catch (const Json::parse_error& error) {
    return fail(Code::kInvalidArgument, fmt::format("request body: expected JSON, found a mistake at byte {}{}",
                                                    error.byte > 0 ? error.byte - 1 : 0,
                                                    error.byte > body.size() ? " (it ends too early)" : ""));
  } catch (const Json::exception&) {  // a number that no double can hold
    return fail(Code::kInvalidArgument,
                "request body: expected numbers within the range of a double, found a larger one");
  }
  if (!json.is_object()) {
    return fail(Code::kInvalidArgument, fmt::format("request body: expected an object, found {}", describe(json)));
  }
  if (!twice.empty()) {
    return fail(Code::kInvalidArgument, fmt::format("{}: expected once in its object, found twice", twice), twice);
  }
  return json;
}

std::string_view type_name(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::boolean:
      return "boolean";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "integer";
    case Json::value_t::number_float:
      return "number";
    case Json::value_t::string:
      return "string";
    case Json::value_t::array:
      return "array";
    case Json::value_t::object:
      return "object";
    default:
      return "nothing";
  }
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

double shortest(float value) {
  if (!std::isfinite(value)) return std::isnan(value) ? 0.0 : std::copysign(9999.0, value);  // JSON has no infinity
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double out = 0;
  std::from_chars(text, end, out);
  return out;
}

const Json* FieldReader::find(const char* name) const {
  const auto it = object_.find(name);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

std::string FieldReader::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

tl::unexpected<base::Error> FieldReader::expected(std::string_view name, std::string_view what,
                                                  const Json& found) const {
  const std::string path = path_of(name);
  return fail(Code::kInvalidArgument, fmt::format("{}: expected {}, found {}", path, what, describe(found)), path);
}

tl::unexpected<base::Error> FieldReader::unsupported(std::string_view name, std::string_view why) const {
  const std::string path = path_of(name);
  return fail(Code::kUnsupported, fmt::format("{}: {}", path, why), path);
}

base::Status FieldReader::boolean(const char* name, bool* out) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_boolean()) return expected(name, "true or false", *value);
  *out = value->get<bool>();
  return {};
}

base::Status FieldReader::number(const char* name, double low, double high, std::optional<float>* out) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  const double found = value->is_number() ? value->get<double>() : 0;
  if (!value->is_number() || !(found >= low && found <= high)) {
    return expected(name, fmt::format("a number from {:g} to {:g}", low, high), *value);
  }
  *out = static_cast<float>(found);
  return {};
}

base::Status FieldReader::integer(const char* name, int64_t low, int64_t high, std::optional<int>* out) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  const bool fits = value->is_number_unsigned() ? value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX)
                                                : value->is_number_integer();
  const int64_t found = fits ? value->get<int64_t>() : 0;
  if (!fits || found < low || found > high) {
    return expected(name, fmt::format("an integer from {} to {}", low, high), *value);
  }
  *out = static_cast<int>(found);
  return {};
}

base::Status FieldReader::string(const char* name, size_t max_bytes, std::string* out) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_string()) return expected(name, "a string", *value);
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > max_bytes) return expected(name, fmt::format("a string of at most {} bytes", max_bytes), *value);
  *out = text;
  return {};
}

base::Status FieldReader::required_string(const char* name, size_t max_bytes, std::string* out) const {
  const Json* value = find(name);
  if (value == nullptr) {
    const std::string path = path_of(name);
    return fail(Code::kInvalidArgument, fmt::format("{}: expected a string, found nothing", path), path);
  }
  TRY_STATUS(string(name, max_bytes, out));
  if (out->empty()) return expected(name, "a string that is not empty", *value);
  return {};
}

}  // namespace concerto::api
