#include "model/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/check.h"

namespace concerto::model {
namespace {

constexpr size_t kSamples = 64;
constexpr size_t kSampleBytes = 64;

}  // namespace

struct WeightDigest::Hasher {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Hasher() { EVP_MD_CTX_free(context); }
  void update(const void* data, size_t bytes) const { CHECK(EVP_DigestUpdate(context, data, bytes) == 1); }
};

WeightDigest::WeightDigest(const ModelConfig& c) : hasher_(std::make_unique<Hasher>()) {
  CHECK(hasher_->context != nullptr && EVP_DigestInit_ex(hasher_->context, EVP_sha256(), nullptr) == 1);
  text(fmt::format("concerto weights 1\n{} L{} D{} H{} G{} K{} F{} V{} eps {:a} base {:a} neox {} bias {} tied {}\n",
                   c.arch, c.n_layers, c.n_embd, c.n_heads, c.n_kv_heads, c.head_dim, c.n_ff, c.n_vocab,
                   static_cast<double>(c.rms_eps), c.rope_base, c.rope_neox, c.qkv_bias, c.tied_head));
}

WeightDigest::~WeightDigest() = default;

void WeightDigest::text(std::string_view line) { hasher_->update(line.data(), line.size()); }

void WeightDigest::add(std::string_view role, const formats::TensorInfo& tensor, base::TensorType target) {
  text(fmt::format("{} {} {} {}\n", role, base::geometry(tensor.type).name, base::geometry(target).name,
                   fmt::join(tensor.shape, "x")));
  const auto bytes = tensor.bytes;
  if (bytes.size() <= kSamples * kSampleBytes) {
    hasher_->update(bytes.data(), bytes.size());
    return;
  }
  const size_t last = bytes.size() - kSampleBytes;
  for (size_t i = 0; i < kSamples; ++i)
    hasher_->update(bytes.data() + last / (kSamples - 1) * i + last % (kSamples - 1) * i / (kSamples - 1),
                    kSampleBytes);
}

std::string WeightDigest::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  CHECK(EVP_DigestFinal_ex(hasher_->context, digest, &length) == 1 && length >= 16);
  std::string hex;
  for (int i = 0; i < 16; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace concerto::model
