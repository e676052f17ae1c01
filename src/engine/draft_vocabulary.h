// Whether a draft model may guess for a target: only where the same id means the same text.
#pragma once

#include <string>

#include "base/result.h"
#include "text/tokenizer.h"

namespace concerto::engine {

// kInvalidArgument names the first id that differs, and what it means in each. The bigger of two tables may end in up
// to 1,024 ids more: tables are padded (Qwen2's 0.5B and 1.5B have 151,936 ids, the 7B 152,064).
base::Status same_vocabulary(const text::Tokenizer& target, const std::string& target_name,
                             const text::Tokenizer& draft, const std::string& draft_name);

}  // namespace concerto::engine
