// The configuration that `concerto init` writes: a small model, a bigger one, people; commented line by line.
#pragma once

#include <string>

#include "base/result.h"

namespace concerto::app {

// tiny: SmolLM2-135M alone before the people. `models`: the folder named in it.
std::string default_config(bool tiny, const std::string& models);

// A new key: "ck_" and 40 random letters and digits (238 bits).
std::string new_key();

// Creates `path` with `text` and this mode, with its folders; kConflict when it is there already. The bytes are on the
// disk when it returns.
base::Status create_file(const std::string& path, const std::string& text, unsigned mode);

}  // namespace concerto::app
