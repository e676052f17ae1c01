// Keys: who may do what. Keys are kept as SHA-256 digests and compared in constant time. Read-only: any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace concerto::api {

// What a route asks for; the numbers are net::Route::access.
enum class Access : int {
  kPublic = 0,  // health, the chat page
  kUser = 1,    // anybody, unless keys are configured
  kAdmin = 2,   // an admin key, always
};

class Keys {
 public:
  Keys(const std::vector<std::string>& user_keys, const std::vector<std::string>& admin_keys);

  // `authorization`: the header's value, empty when there is none. kUnauthorized without a good key, kForbidden when
  // the key is good but not enough, or when the server has no admin key at all.
  [[nodiscard]] base::Status check(Access access, std::string_view authorization) const;

  // An id for whoever sends this header, to keep what is cached for one from the others; tells nothing of the key.
  static std::string tenant_of(std::string_view authorization);

  [[nodiscard]] bool required() const noexcept { return !user_.empty(); }

 private:
  using Digest = std::array<uint8_t, 32>;
  static Digest digest_of(std::string_view key);
  static bool holds(const std::vector<Digest>& all, const Digest& one);

  std::vector<Digest> user_;
  std::vector<Digest> admin_;
};

}  // namespace concerto::api
