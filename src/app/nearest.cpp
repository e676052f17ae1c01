#include "app/nearest.h"

#include <algorithm>

namespace concerto::app {
namespace {

// Optimal string alignment distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t least = SIZE_MAX;
  if (word.size() > 64) return best;  // no typing error
  for (const auto& candidate : candidates) {
    // Somebody who wrote four letters of a word and stopped meant that word.
    const bool begins = word.size() >= 4 && candidate.starts_with(word);
    const size_t edits = begins ? 1 : distance(word, candidate);
    if (edits < least && edits <= std::max<size_t>(1, candidate.size() / 3)) {
      least = edits;
      best = candidate;
    }
  }
  return best;
}

}  // namespace concerto::app
