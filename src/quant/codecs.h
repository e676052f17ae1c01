// The rows of the registry, one per file of this folder. Internal to quant/; everyone else asks quant::codec().
//
// Layouts are those of ggml (github.com/ggml-org/ggml, src/ggml-common.h): little-endian, no padding. `f16 d` below
// means a binary16 scale; nibbles are "low" (bits 0-3) and "high" (bits 4-7). Every float operation of a decode formula
// is rounded by itself, left to right (the build forbids contraction), so the decoded bits are the same everywhere.
//
// Encoders take finite floats. A NaN or infinity has no place in a block scale: it counts as 0 there (F32, F16 and BF16
// keep it); a caller that must not lose one checks first.
#pragma once

#include "quant/registry.h"

namespace concerto::quant {

extern const TypeCodec kF32Codec;
extern const TypeCodec kF16Codec;
extern const TypeCodec kBF16Codec;
extern const TypeCodec kQ4_0Codec;
extern const TypeCodec kQ4_1Codec;
extern const TypeCodec kQ5_0Codec;
extern const TypeCodec kQ5_1Codec;
extern const TypeCodec kQ8_0Codec;
extern const TypeCodec kQ4_KCodec;
extern const TypeCodec kQ5_KCodec;
extern const TypeCodec kQ6_KCodec;

}  // namespace concerto::quant
