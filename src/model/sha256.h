// Sha256: the short names that this folder gives to bytes: the first 128 bits of their SHA-256, as 32 hex digits.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace concerto::model {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::span<const std::byte> bytes);
  [[nodiscard]] std::string finish();  // nothing may follow

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace concerto::model
