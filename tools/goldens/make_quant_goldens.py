#!/usr/bin/env python3
"""Writes tests/data/quant/: what the PyPI package `gguf` decodes and encodes, for tests/quant.

    pip install gguf==0.17.1 numpy==2.4.6
    python3 tools/goldens/make_quant_goldens.py --out tests/data/quant

Files, little-endian:
    decode_TYPE.bin  uint32 n, then n blocks of random bytes (their scales made finite), then the floats they mean
    encode_input.f32 the floats that both quantizers are given: gaussian, heavy tails, outliers, one sign, constants, zeros
    encode_TYPE.bin  the blocks that the package's own quantizer makes of them (types for which it has one)
"""
import argparse
import os

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

# Byte offsets of the binary16 fields of a block.
HALF_FIELDS = {
    "F16": [0], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
ENCODED = ["BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]


def random_blocks(rng, name):
    weights, size = gguf.GGML_QUANT_SIZES[Type[name]]
    n = {1: 256, 32: 32, 256: 8}[weights]
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in HALF_FIELDS[name]:
        scales = (rng.standard_normal(n) * 10.0 ** rng.integers(-6, 3, n)).astype(np.float16)
        if at == 0:
            scales[:3] = [0.0, 6e-8, 60000.0]  # zero, the smallest subnormal, near the largest
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(n, 2)
    if name == "BF16":
        blocks[:, 1] &= 0xBF  # exponents that are neither infinite nor NaN
    return blocks


def encode_input(rng):
    parts = [
        rng.standard_normal(1024) * 0.02,                       # what weights look like
        rng.standard_t(3, 512) * 0.05,                          # heavy tails
        rng.standard_normal(256) * 0.01,                        # a few outliers, added below
        rng.uniform(0.1, 0.9, 128), -rng.uniform(2.0, 3.0, 128),  # one sign only
        np.full(128, 0.37), np.zeros(128),
        rng.uniform(-1, 1, 128) * 1e-6, rng.standard_normal(128) * 1000.0,
    ]
    parts[2][::50] *= 40
    return np.concatenate(parts).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    os.makedirs(out, exist_ok=True)
    for name in HALF_FIELDS:
        rng = np.random.default_rng(20240607 + Type[name].value)
        blocks = random_blocks(rng, name)
        with np.errstate(over="ignore"):
            floats = dequantize(blocks.reshape(1, -1), Type[name]).astype(np.float32)
        assert np.isfinite(floats).all(), name
        with open(os.path.join(out, f"decode_{name.lower()}.bin"), "wb") as f:
            f.write(np.uint32(len(blocks)).tobytes() + blocks.tobytes() + floats.tobytes())
    values = encode_input(np.random.default_rng(7))
    values.tofile(os.path.join(out, "encode_input.f32"))
    for name in ENCODED:
        quantize(values.reshape(1, -1), Type[name]).tofile(os.path.join(out, f"encode_{name.lower()}.bin"))


if __name__ == "__main__":
    main()
