// The k largest of a row, without sorting the row.
#pragma once

#include <cstdint>
#include <vector>

namespace concerto::engine {

struct Candidate {
  float value = 0;  // a logit, or a weight
  int32_t id = 0;
};

// Larger first, equal values by lower id: a total order, so every selection and sort has one answer.
inline bool ranks_before(const Candidate& a, const Candidate& b) noexcept {
  return a.value != b.value ? a.value > b.value : a.id < b.id;
}

// The min(k, n) first of x[n] by ranks_before, in that order, into *out (reused memory). k >= 1.
void select_top(const float* x, int n, int k, std::vector<Candidate>* out);

// Index of the first by ranks_before. n >= 1.
int32_t argmax(const float* x, int n) noexcept;

}  // namespace concerto::engine
