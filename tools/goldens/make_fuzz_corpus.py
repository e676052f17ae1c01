#!/usr/bin/env python3
"""Writes the seeds of fuzz/corpus: small files by the formats' own Python packages (valid_*) and broken ones (bad_*).

    pip install gguf==0.17.1 safetensors==0.5.3 numpy==2.4.6
    python3 tools/goldens/make_fuzz_corpus.py --out fuzz/corpus

tests/formats/hostile_test.cpp replays them: what the packages write must be taken, what is broken must be refused.
"""
import argparse
import json
import os
import struct

import gguf
import numpy as np
from safetensors.numpy import save

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"], "bos_token_id": 151643, "eos_token_id": 151643, "hidden_act": "silu",
    "hidden_size": 1536, "intermediate_size": 8960, "max_position_embeddings": 131072, "model_type": "qwen2",
    "num_attention_heads": 12, "num_hidden_layers": 28, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
    "rope_theta": 10000, "sliding_window": 4096, "tie_word_embeddings": False, "use_sliding_window": False,
    "vocab_size": 151936,
}


def gguf_files(out):
    path = os.path.join(out, "valid_mixed.gguf")
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_embedding_length(256)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_token_list(["a", "b", "你好"])
    writer.add_token_types([1, 1, 3])
    writer.add_bool("flag", True)
    writer.add_array("scores", [0.5, -1.0])
    rng = np.random.default_rng(1)
    writer.add_tensor("output_norm.weight", rng.standard_normal(256, np.float32)[:8].copy())
    for name in ["Q4_0", "Q5_1", "Q8_0", "Q4_K", "Q6_K", "BF16"]:
        kind = gguf.GGMLQuantizationType[name]
        weights, size = gguf.GGML_QUANT_SIZES[kind]
        row = max(weights, 32) // weights * size
        writer.add_tensor(f"blk.0.{name.lower()}.weight", rng.integers(0, 256, (2, row), dtype=np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path = os.path.join(out, "valid_no_tensors.gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    head = b"GGUF" + struct.pack("<I", 3)
    write(out, "bad_counts.gguf", head + struct.pack("<QQ", 2**63, 2**63))
    write(out, "bad_string.gguf", head + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2**64 - 1) + b"k" * 40)
    key = struct.pack("<Q", 1) + b"k"
    write(out, "bad_nesting.gguf", head + struct.pack("<QQ", 0, 1) + key + struct.pack("<I", 9)
          + struct.pack("<IQ", 9, 1) * 20)


def safetensors_files(out):
    write(out, "valid_three.safetensors", save({
        "model.embed_tokens.weight": np.zeros((4, 8), np.float16), "model.norm.weight": np.ones(8, np.float32),
        "scalar": np.float32(1.5).reshape(())}, {"format": "pt"}))
    write(out, "valid_empty.safetensors", save({}))

    def raw(header, data=b""):
        text = header.encode()
        return struct.pack("<Q", len(text)) + text + data

    write(out, "bad_overlap.safetensors", raw(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}',
        b"123456"))
    write(out, "bad_dtype.safetensors", save({"ids": np.zeros(3, np.int64)}))
    write(out, "bad_deep.safetensors", raw('{"a":' + "[" * 200))


def index_files(out):
    names = {f"model.layers.{i}.weight": f"model-0000{1 + i % 2}-of-00002.safetensors" for i in range(4)}
    write(out, "valid_two.json", json.dumps({"metadata": {"total_size": 1}, "weight_map": names}, indent=2).encode())
    write(out, "valid_one.json", b'{"weight_map":{"\\u00e9":"m.safetensors"}}')
    write(out, "bad_path.json", b'{"weight_map":{"a":"../../x.safetensors"}}')
    write(out, "bad_type.json", b'{"weight_map":{"a":["m.safetensors"]}}')


def config_files(out):
    write(out, "valid_qwen2.json", json.dumps(CONFIG, indent=2).encode())
    llama = dict(CONFIG, architectures=["LlamaForCausalLM"], model_type="llama", eos_token_id=[1, 2],
                 rope_parameters={"rope_theta": 10000.0, "rope_type": "default"}, rope_scaling=None, head_dim=128)
    write(out, "valid_llama.json", json.dumps(llama).encode())
    write(out, "valid_generation.json", json.dumps(
        {"do_sample": True, "eos_token_id": [151645, 151643], "repetition_penalty": 1.1, "temperature": 0.7,
         "top_k": 20, "top_p": 0.8}).encode())
    write(out, "bad_number.json", b'{"hidden_size":1e999,"temperature":-0e}')
    write(out, "bad_surrogate.json", b'{"model_type":"\\ud800x"}')


def write(out, name, data):
    with open(os.path.join(out, name), "wb") as f:
        f.write(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    for name, make in [("gguf", gguf_files), ("safetensors", safetensors_files), ("safetensors_index", index_files),
                       ("hf_config", config_files)]:
        folder = os.path.join(args.out, name)
        os.makedirs(folder, exist_ok=True)
        make(folder)


if __name__ == "__main__":
    main()
