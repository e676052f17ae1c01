// nearest(): the word that somebody probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace concerto::app {

// The candidate with the fewest edits (insert, delete, replace, swap of neighbours), at most a third of its length, or
// one that begins with the word; empty when none is that near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace concerto::app
