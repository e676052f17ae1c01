// llama: no biases. Its GGUF files hold the rows of q and k permuted, so that the rotation turns neighbours (2i, 2i+1).
#include "model/arch/registry.h"

namespace concerto::model {

const Architecture kLlama = {
    .name = "llama",
    .gguf = kLlamaGgufNames,
    .folder = kLlamaFolderNames,
    .qkv_bias = false,
    .gguf_rope_neox = false,
};

}  // namespace concerto::model
