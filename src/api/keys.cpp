#include "api/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "net/http_types.h"

namespace concerto::api {

using base::Code;
using base::fail;

Keys::Keys(const std::vector<std::string>& user_keys, const std::vector<std::string>& admin_keys) {
  for (const auto& key : user_keys) user_.push_back(digest_of(key));
  for (const auto& key : admin_keys) admin_.push_back(digest_of(key));
}

Keys::Digest Keys::digest_of(std::string_view key) {
  Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest.data());
  return digest;
}

std::string Keys::tenant_of(std::string_view authorization) {
  const Digest digest = digest_of(authorization);
  return {digest.begin(), digest.end()};
}

// Looks at every key whichever matches, so that time tells nothing.
bool Keys::holds(const std::vector<Digest>& all, const Digest& one) {
  bool found = false;
  for (const Digest& digest : all) found |= CRYPTO_memcmp(digest.data(), one.data(), one.size()) == 0;
  return found;
}

base::Status Keys::check(Access access, std::string_view authorization) const {
  if (access == Access::kPublic || (access == Access::kUser && user_.empty())) return {};
  if (access == Access::kAdmin && admin_.empty()) {
    return fail(Code::kForbidden, "Authorization: expected an admin key, but this server was started without one");
  }
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() <= kScheme.size() ||
      !net::equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return fail(Code::kUnauthorized, "Authorization: expected 'Bearer KEY', found no key");
  }
  const Digest digest = digest_of(authorization.substr(kScheme.size()));
  const bool admin = holds(admin_, digest);
  const bool user = holds(user_, digest);
  if (admin) return {};
  if (access == Access::kUser && user) return {};
  if (user) return fail(Code::kForbidden, "Authorization: expected an admin key, found a key without that right");
  return fail(Code::kUnauthorized, "Authorization: expected a key that this server knows, found another");
}

}  // namespace concerto::api
