// Plain data of HTTP messages, shared by the server and the client. Names of header fields compare without case.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace concerto::net {

class HttpHeaders {
 public:
  HttpHeaders() = default;
  HttpHeaders(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  // Replaces every field of that name by one.
  void set(std::string_view name, std::string value);
  // The first field of that name, nullptr when there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
  [[nodiscard]] size_t count(std::string_view name) const noexcept;

  [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
  [[nodiscard]] auto end() const noexcept { return fields_.end(); }
  [[nodiscard]] size_t size() const noexcept { return fields_.size(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// ASCII letters compare equal in both cases; other bytes as they are.
bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

// "Not Found" for 404; "Unknown" for a status without a registered phrase.
std::string_view reason_phrase(int status) noexcept;

}  // namespace concerto::net
