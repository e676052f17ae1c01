#include "engine/top_select.h"

#include <algorithm>
#include <limits>

#include "engine/lane_sums.h"

namespace concerto::engine {
namespace {

constexpr int kStride = 64;  // values tested at once against the threshold

}  // namespace

int32_t argmax(const float* x, int n) noexcept {
  const float best = lane_loops().max(x, n);
  for (int i = 0; i < n; ++i) {
    if (x[i] == best) return i;
  }
  return 0;  // all NaN
}

void select_top(const float* x, int n, int k, std::vector<Candidate>* out) {
  out->clear();
  k = std::min(k, n);
  // Candidates above the threshold are collected; when the buffer is full, the k best stay and the k-th becomes the
  // threshold. Ids ascend, so a later equal value never ranks before the k-th: the test is strict.
  const size_t capacity = static_cast<size_t>(k) + std::max(k, 64);
  float threshold = -std::numeric_limits<float>::infinity();
  bool open = true;  // no threshold yet: even -inf is a candidate
  const auto shrink = [&] {
    std::nth_element(out->begin(), out->begin() + (k - 1), out->end(), ranks_before);
    out->resize(static_cast<size_t>(k));
    threshold = out->back().value;
    open = false;
  };
  for (int begin = 0; begin < n; begin += kStride) {
    const int end = std::min(begin + kStride, n);
    if (!open && !(lane_loops().max(x + begin, end - begin) > threshold)) continue;
    for (int i = begin; i < end; ++i) {
      if (!open && !(x[i] > threshold)) continue;
      out->push_back({x[i], i});
      if (out->size() >= capacity) shrink();
    }
  }
  if (out->size() > static_cast<size_t>(k)) shrink();
  std::sort(out->begin(), out->end(), ranks_before);
}

}  // namespace concerto::engine
