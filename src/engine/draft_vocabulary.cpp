#include "engine/draft_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "formats/printable.h"

namespace concerto::engine {
namespace {

constexpr int kMostPadding = 1024;

}  // namespace

base::Status same_vocabulary(const text::Tokenizer& target, const std::string& target_name,
                             const text::Tokenizer& draft, const std::string& draft_name) {
  const auto differ = [&](const std::string& what) {
    return base::fail(
        base::Code::kInvalidArgument,
        fmt::format("draft {}: expected the vocabulary of {}, found {}: a draft model must be of the same "
                    "family as the model it guesses for",
                    draft_name, target_name, what),
        "draft");
  };
  if (std::abs(target.vocab_size() - draft.vocab_size()) > kMostPadding) {
    return differ(fmt::format("{} tokens instead of {}", draft.vocab_size(), target.vocab_size()));
  }
  for (int32_t id = 0; id < std::min(target.vocab_size(), draft.vocab_size()); ++id) {
    const auto wanted = target.token_bytes(id);
    const auto found = draft.token_bytes(id);
    if (wanted == found) continue;
    return differ(fmt::format("token {} as '{}' instead of '{}'", id, formats::printable(std::string(found)),
                              formats::printable(std::string(wanted))));
  }
  return {};
}

}  // namespace concerto::engine
