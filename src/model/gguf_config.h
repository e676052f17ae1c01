// ModelConfig from GGUF metadata (keys "<arch>.block_count" and so on; docs/gguf.md of github.com/ggml-org/ggml).
#pragma once

#include "base/result.h"
#include "formats/gguf.h"
#include "model/arch/architecture.h"
#include "model/config.h"

namespace concerto::model {

// The row of general.architecture; kUnsupported names those that exist.
base::Result<const Architecture*> architecture_of(const formats::Gguf& file);

// Every number is range-checked; settings this build cannot compute (rope scaling, partial rotation, sliding windows)
// are kUnsupported. n_vocab and tied_head come from the tensors.
base::Result<ModelConfig> config_from_gguf(const formats::Gguf& file, const Architecture& architecture);

}  // namespace concerto::model
