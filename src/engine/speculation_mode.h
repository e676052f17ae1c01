// Where guesses of the next tokens may come from. Guesses never change an answer, only when it comes: see speculator.h.
#pragma once

#include <optional>
#include <string_view>

namespace concerto::engine {

enum class Speculation {
  kOff,
  kLookup,  // what followed the same tokens earlier in the prompt or the answer
  kAuto,    // the same, and the draft model where there is one
};

// "off", "lookup", "auto"; nullopt for anything else.
inline std::optional<Speculation> speculation_named(std::string_view name) noexcept {
  if (name == "off") return Speculation::kOff;
  if (name == "lookup") return Speculation::kLookup;
  if (name == "auto") return Speculation::kAuto;
  return std::nullopt;
}

}  // namespace concerto::engine
