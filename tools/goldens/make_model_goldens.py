#!/usr/bin/env python3
"""Golden outputs of transformers for tests/model: tiny random models, and greedy text of SmolLM2-135M.

    python3 -m venv /tmp/goldens
    /tmp/goldens/bin/pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0 gguf==0.19.0 accelerate==1.15.0
    /tmp/goldens/bin/python tools/goldens/make_model_goldens.py [tiny] [smollm2]

Writes under tests/data/model:
  tiny-qwen2-bf16/, tiny-llama-f32/   Hugging Face folders with random weights (untied in two shards; tied in one file)
    logits.txt                        prompt, then the logits of some rows, computed in float32
  smollm2-greedy.txt                  per prompt: its ids, and the ids that greedy decoding in float32 goes on with;
                                      weights: the file of CONCERTO_MODELS (else ~/.cache/concerto/models), dequantised

The tiny models' reference computes attention with this engine's roundings to bfloat16, so that everything can be compared
tightly. The greedy text is plain transformers.
"""
import math
import os
import pathlib
import sys

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "model"
SMOLLM2 = "smollm2-135m-instruct-q4_1.gguf"
VOCAB = 300
TOKENS = 70  # one KV block of 64 and a bit
ROWS = [0, 1, 20, 63, 64, 69]
GREEDY = 32
PROMPTS = [
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nWrite a haiku about the sea.<|im_end|>\n<|im_start|>assistant\n",
    "The three laws of motion are:\n1.",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "Once upon a time, in a small village near the mountains, there lived",
    "<|im_start|>system\nYou answer in one sentence.<|im_end|>\n<|im_start|>user\nWhy is the sky blue?<|im_end|>\n"
    "<|im_start|>assistant\n",
]


def blockwise_attention(module, query, key, value, attention_mask, scaling, **kwargs):
    """Attention as kernels.h AttentionJob says it: q, k, v and the weights in bfloat16, 64 positions at a time."""
    groups = query.shape[1] // key.shape[1]
    key = key.bfloat16().float().repeat_interleave(groups, 1)
    value = value.bfloat16().float().repeat_interleave(groups, 1)
    query = (query * torch.tensor(scaling * math.log2(math.e))).bfloat16().float()
    scores = query @ key.transpose(2, 3)
    seen = torch.ones(scores.shape[-2:]).tril(scores.shape[-1] - scores.shape[-2]).bool()
    scores = scores.masked_fill(~seen, float("-inf"))
    top = torch.full(scores.shape[:-1], float("-inf"))
    total = torch.zeros(scores.shape[:-1])
    out = torch.zeros(query.shape)
    for begin in range(0, scores.shape[-1], 64):
        block = scores[..., begin:begin + 64]
        new_top = torch.maximum(top, block.max(-1).values)
        weights = torch.exp2(block - new_top[..., None]).bfloat16().float()
        keep = torch.exp2(top - new_top)
        total = total * keep + weights.sum(-1)
        out = out * keep[..., None] + weights @ value[:, :, begin:begin + 64]
        top = new_top
    return (out / total[..., None]).transpose(1, 2).contiguous(), None


def randomise(model):
    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            elif "bias" in name:
                parameter.copy_(0.5 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) * 0.15)


def tiny(name, config, model_class, dtype, shard_size):
    folder = ROOT / name
    model = model_class(config)
    randomise(model)
    model = model.to(dtype)
    model.save_pretrained(folder, max_shard_size=shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="blockwise").eval()
    prompt = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(3)).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([prompt]), use_cache=False).logits[0]
    with open(folder / "logits.txt", "w") as out:
        out.write("prompt " + " ".join(map(str, prompt)) + "\n")
        for row in ROWS:
            out.write(f"row {row} " + " ".join(f"{v:.9g}" for v in logits[row].tolist()) + "\n")


def make_tiny():
    shape = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                 intermediate_size=96, vocab_size=VOCAB, max_position_embeddings=512)
    tiny("tiny-qwen2-bf16", transformers.Qwen2Config(**shape, rope_theta=1000000.0, tie_word_embeddings=False),
         transformers.Qwen2ForCausalLM, torch.bfloat16, "110KB")
    tiny("tiny-llama-f32", transformers.LlamaConfig(**shape, rope_theta=10000.0, tie_word_embeddings=True),
         transformers.LlamaForCausalLM, torch.float32, "1GB")


def make_smollm2():
    folder = os.environ.get("CONCERTO_MODELS", os.path.expanduser("~/.cache/concerto/models"))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=SMOLLM2, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=SMOLLM2)
    with open(ROOT / "smollm2-greedy.txt", "w") as out:
        for prompt in PROMPTS:
            ids = tokenizer(prompt, add_special_tokens=False).input_ids
            with torch.no_grad():
                answer = []
                cache = transformers.DynamicCache()
                step = ids
                for _ in range(GREEDY):
                    logits = model(torch.tensor([step]), past_key_values=cache, use_cache=True).logits[0, -1]
                    top = torch.topk(logits, 2).values
                    if top[0] - top[1] < 0.02:
                        print(f"close call after {len(answer)} ids: {top.tolist()}", file=sys.stderr)
                    step = [int(logits.argmax())]
                    answer += step
            print(tokenizer.decode(answer), file=sys.stderr)
            out.write("prompt " + " ".join(map(str, ids)) + "\n")
            out.write("greedy " + " ".join(map(str, answer)) + "\n")


if __name__ == "__main__":
    ROOT.mkdir(parents=True, exist_ok=True)
    torch.use_deterministic_algorithms(True)
    transformers.AttentionInterface.register("blockwise", blockwise_attention)
    parts = sys.argv[1:] or ["tiny", "smollm2"]
    if "tiny" in parts:
        make_tiny()
    if "smollm2" in parts:
        make_smollm2()
