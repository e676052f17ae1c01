// qwen2 (Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen): as llama with biases on q, k and v; rows in their own order
// everywhere.
#include "model/arch/registry.h"

namespace concerto::model {

const Architecture kQwen2 = {
    .name = "qwen2",
    .gguf = kLlamaGgufNames,
    .folder = kLlamaFolderNames,
    .qkv_bias = true,
    .gguf_rope_neox = true,
};

}  // namespace concerto::model
