// ModelConfig from the config.json of a Hugging Face folder, and the names in its weights.
#pragma once

#include <string>

#include "base/result.h"
#include "formats/hf_config.h"
#include "formats/tensor_file.h"
#include "model/arch/architecture.h"
#include "model/config.h"

namespace concerto::model {

// `folder` names the model and begins the messages; `weights`: its tensors, which say V and whether there is a head.
base::Result<ModelConfig> config_from_folder(const std::string& folder, const formats::HfConfig& settings,
                                             const formats::TensorFile& weights, const Architecture& architecture);

}  // namespace concerto::model
