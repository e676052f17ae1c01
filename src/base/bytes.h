// Little-endian reads and writes at unaligned addresses, and arithmetic that refuses to overflow. Header only.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace concerto::base {

// Reads a T at p (little-endian host assumed: x86-64, aarch64).
template <class T>
[[nodiscard]] inline T load_le(const void* p) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

template <class T>
inline void store_le(void* p, T value) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(p, &value, sizeof(T));
}

// false on overflow; *out is then unspecified.
[[nodiscard]] inline bool checked_add(uint64_t a, uint64_t b, uint64_t* out) noexcept {
  return !__builtin_add_overflow(a, b, out);
}
[[nodiscard]] inline bool checked_mul(uint64_t a, uint64_t b, uint64_t* out) noexcept {
  return !__builtin_mul_overflow(a, b, out);
}

}  // namespace concerto::base
