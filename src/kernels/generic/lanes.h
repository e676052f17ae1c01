// Sixteen virtual lanes: how reductions are ordered on every ISA.
#pragma once

namespace concerto::kernels::generic {

struct Lanes {
  float v[16] = {};
  // lane j += lane j + 8, then + 4, + 2, + 1
  [[nodiscard]] float sum() const noexcept {
    float t[16];
    for (int j = 0; j < 16; ++j) t[j] = v[j];
    for (int half = 8; half >= 1; half /= 2) {
      for (int j = 0; j < half; ++j) t[j] += t[j + half];
    }
    return t[0];
  }
};

}  // namespace concerto::kernels::generic
