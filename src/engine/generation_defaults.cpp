#include "engine/generation_defaults.h"

#include <algorithm>
#include <cctype>

#include "formats/hf_config.h"

namespace concerto::engine {

using base::Code;
using base::Result;

Result<SamplingParams> folder_defaults(const std::string& folder) {
  SamplingParams params;
  const auto file = formats::read_hf_generation_config(folder + "/generation_config.json");
  if (!file) {
    if (file.error().code == Code::kNotFound) return params;
    return tl::make_unexpected(file.error());
  }
  if (file->temperature) params.temperature = static_cast<float>(*file->temperature);
  if (file->do_sample && !*file->do_sample) params.temperature = 0;
  if (file->top_k) params.top_k = *file->top_k;
  if (file->top_p) params.top_p = static_cast<float>(*file->top_p);
  if (file->min_p) params.min_p = static_cast<float>(*file->min_p);
  if (file->repetition_penalty) {
    params.repeat_penalty = static_cast<float>(*file->repetition_penalty);
    params.repeat_last_n = -1;  // transformers penalises whatever occurred anywhere before
  }
  return params;
}

Result<base::TensorType> quantize_type(const std::string& name) {
  std::string upper = name;
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::string known;
  for (const auto& g : base::kTensorGeometries) {
    if (g.block_weights == 1) continue;
    if (g.name == upper) return g.type;
    known += (known.empty() ? "" : ", ") + std::string(g.name);
  }
  return base::fail(Code::kInvalidArgument, "quantize: expected one of " + known + "; found " + name, "quantize");
}

}  // namespace concerto::engine
