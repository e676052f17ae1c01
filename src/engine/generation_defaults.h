// How a model is sampled when a request does not say: its generation_config.json, else the house defaults of
// SamplingParams. And the names of the types that float weights can be quantised to at load.
#pragma once

#include <string>

#include "base/result.h"
#include "base/tensor_type.h"
#include "engine/request.h"

namespace concerto::engine {

// Of a Hugging Face folder. A folder without the file has the house defaults; a broken file is an error.
base::Result<SamplingParams> folder_defaults(const std::string& folder);

// "q8_0", "Q4_K", ...: kInvalidArgument for a name that is no quantised type.
base::Result<base::TensorType> quantize_type(const std::string& name);

}  // namespace concerto::engine
