// Mutator: damages bytes in the ways that find parser bugs. Seeded: a failing round can be repeated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace concerto::formats::test {

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  // One to four damages: a bit, a byte, an extreme integer of 1 to 8 bytes, a cut, a copied or inserted run.
  std::vector<std::byte> operator()(std::vector<std::byte> bytes) {
    for (uint32_t n = 1 + pick(4); n > 0 && !bytes.empty(); --n) damage(&bytes);
    return bytes;
  }

 private:
  uint32_t pick(size_t n) { return static_cast<uint32_t>(random_() % n); }  // [0, n)

  void damage(std::vector<std::byte>* bytes) {
    const size_t at = pick(bytes->size());
    switch (pick(8)) {
      case 0:
      case 1:
        (*bytes)[at] ^= static_cast<std::byte>(1U << pick(8));
        return;
      case 2:
        (*bytes)[at] = static_cast<std::byte>(pick(256));
        return;
      case 3:
      case 4:
      case 5: {
        constexpr uint64_t kExtremes[] = {0,
                                          1,
                                          2,
                                          3,
                                          0x7F,
                                          0x80,
                                          0xFF,
                                          0x7FFF,
                                          0xFFFF,
                                          0x7FFFFFFF,
                                          0x80000000,
                                          0xFFFFFFFF,
                                          0x7FFFFFFFFFFFFFFF,
                                          0x8000000000000000,
                                          0xFFFFFFFFFFFFFFFF,
                                          0xFFFFFFFFFFFFFFE0,
                                          0x2000000000000001,
                                          0x1000000000000000};
        const uint64_t value = kExtremes[pick(std::size(kExtremes))];
        const size_t width = size_t{1} << pick(4);
        const size_t n = std::min(width, bytes->size() - at);
        std::memcpy(bytes->data() + at, &value, n);
        return;
      }
      case 6:
        bytes->resize(at);
        return;
      default: {
        const size_t from = pick(bytes->size());
        const size_t n = std::min<size_t>(1 + pick(16), bytes->size() - from);
        const std::vector<std::byte> run(bytes->begin() + static_cast<ptrdiff_t>(from),
                                         bytes->begin() + static_cast<ptrdiff_t>(from + n));
        if (pick(2) == 0) {
          bytes->insert(bytes->begin() + static_cast<ptrdiff_t>(at), run.begin(), run.end());
        } else {
          std::memcpy(bytes->data() + at, run.data(), std::min(n, bytes->size() - at));
        }
      }
    }
  }

  std::mt19937 random_;
};

}  // namespace concerto::formats::test
