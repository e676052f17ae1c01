#!/usr/bin/env python3
"""Writes tests/data/text/tokenizer_*.txt: ids that Hugging Face `tokenizers` gives, for tests/text/tokenizer_golden_test.

    python3 tools/goldens/make_tokenizer_goldens.py --models ~/.cache/concerto/models --out tests/data/text

Needs the packages tokenizers 0.23 and gguf. The oracle is built from the vocabulary and the merges of a GGUF file and
the normalizer, pre-tokenizer and added tokens that the model publishes in its tokenizer.json. With --save DIR it also
writes each oracle as DIR/NAME/tokenizer.json.

Each file has three kinds of lines:
    text HEX IDS      the text (UTF-8 in hex) and its ids, special tokens parsed
    page N HASH       a hash of the ids of every code point of page N (256 code points) in eight surroundings
    fuzz N HASH       a hash of the ids of 100 random texts; texts.h of the test makes the same ones
"""
import argparse
import os
import sys

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
R1_TOKENS = ["<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<|EOT|>", "<think>",
             "</think>"]
TEXTS = [
    "", " ", "  ", "\n", "\r\n\r\n", "\t\t x", "Hello, world!", "I'm sure they'LL say it's we'Ve'd 'S 'ſ",
    "你好，世界！请问这份合同什么时候到期？", "第1234567890条：赔偿金额为￥12,345.67元。", "def f(x):\n    return x ** 2  # 平方\n\n\n",
    "SELECT * FROM t WHERE a >= 10 AND b != 'x';", "👩‍👩‍👧‍👦 🇨🇳 ✈️ é e\u0301 Å A\u030a \u0344 ﬁ", "ÀÉÎÕÜ àéîõü ß ẞ ŒœÆæ",
    "ﷺ \u202eright-to-left\u202c \u200b zero\u200bwidth \ufeffbom", "Ⅻ ½ ² ٣٤٥ १२३ 一二三 ①②③", "한국어 텍스트 \u1112\u1161\u11ab",
    "日本語のテキスト、カタカナ、ガ が か\u3099", "русский текст с ё и е\u0308", "   leading and trailing   ",
    "a\u0301\u0323b a\u0323\u0301b q\u0307\u0323 \u0301 \u0323\u0301", "x\u00a0y\u2003z\u3000w\u180ev\u0085u", "...!!!???---===///\\\\\\|||",
    "http://example.com/a?b=c&d=%20#e", "{\"k\": [1, 2.5, -3e10, null, true], \"中\": \"文\"}", "0" * 50, " " * 100, "啊" * 200,
    "a" * 300, "!" * 300, "\n" * 150, " \n" * 80, "aB1 " * 60, "\U00016d68\U000105c0\u1c8a\u0897 new letters", "\u0000\u0001\u0004\u0006\u001f\u007f",
    "<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n", "<|im_end|><|im_end|>  <|endoftext|>x", "<|im_start", "<think>\n嗯\n</think>\n\n答",
    "<｜begin▁of▁sentence｜><｜User｜>你好<｜Assistant｜><think>\n", "<tool_call>\n{\"name\": \"f\"}\n</tool_call>", "<|<|im_end|>|>",
]


def alphabet():
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in kept]
    return {**{b: chr(b) for b in kept}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def oracle(path, kind):
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    vocab = {t: i for i, t in enumerate(tokens) if types[i] == 1}
    model = models.BPE(vocab=vocab, merges=merges, dropout=None, unk_token=None, fuse_unk=False, byte_fallback=False)
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.ByteLevel()
    added = [(t, types[i] == 3) for i, t in enumerate(tokens) if types[i] in (3, 4)]
    if kind == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)])
        # Its control tokens are the first ids, so they are in the vocabulary as well.
        tokenizer.model = models.BPE(vocab={**{t: i for i, t in enumerate(tokens)}}, merges=merges, unk_token=None)
    else:
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(QWEN2), "isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)])
        if kind == "deepseek-r1-qwen":
            added = [(t, False) for t in R1_TOKENS] + added[len(R1_TOKENS):]
    tokenizer.add_tokens([AddedToken(t, special=s, normalized=False) for t, s in added])
    for token, _ in added:
        assert tokenizer.token_to_id(token) is not None
    if kind == "deepseek-r1-qwen":
        assert tokenizer.token_to_id("<think>") == 151648 and tokenizer.token_to_id("<｜User｜>") == 151644
    else:
        assert all(tokenizer.token_to_id(t) == tokens.index(t) for t, _ in added)
    return tokenizer


class Hash:
    """FNV-1a over the ids, 32 bits, with the length of each list in front."""

    def __init__(self):
        self.value = 0x811C9DC5

    def word(self, word):
        for byte in word.to_bytes(4, "little"):
            self.value = ((self.value ^ byte) * 0x01000193) & 0xFFFFFFFF

    def ids(self, ids):
        self.word(len(ids))
        for i in ids:
            self.word(i)


SURROUNDINGS = ["{}", " {}", "a{}b", "'{}", "1{}2", "{}\n", ". {}{} ", "{}\u0301\u0323"]

# What random texts are made of: (first, last) code points, or a fixed text.
PARTS = [
    (0x20, 0x7E), (0x61, 0x7A), (0x30, 0x39), (0x4E00, 0x9FA5), (0x4E00, 0x9FA5), (0xC0, 0x17F), (0x300, 0x36F),
    (0x1F300, 0x1F64F), (0x3040, 0x30FF), (0x370, 0x5FF), (0x600, 0xDFF), (0xE00, 0x1FFF), (0x1100, 0x11FF),
    (0xAC00, 0xD7A3), (0x2000, 0x2BFF), (0xF900, 0xFFFD), (0x10000, 0x1FFFF), (0x20000, 0x2FFFF), (0x0, 0x10FFFF),
    " ", " ", "  ", "\n", "\r\n", "\t", "'s", "'LL ", "<|im_end|>", "<|im_start|>", "    ", "的", "the", "1",
]


class Random:
    """xorshift64*, high half."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        x = self.state
        x ^= x >> 12
        x ^= (x << 25) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 27
        self.state = x
        return (((x * 0x2545F4914F6CDD1D) & 0xFFFFFFFFFFFFFFFF) >> 32) % n


def random_text(random):
    out = []
    for _ in range(1 + random.below(24)):
        part = PARTS[random.below(len(PARTS))]
        repeats = 1 + random.below(4)
        for _ in range(repeats):
            if isinstance(part, str):
                out.append(part)
                continue
            point = part[0] + random.below(part[1] - part[0] + 1)
            out.append(chr(0xFFFD if 0xD800 <= point < 0xE000 else point))
    return "".join(out)


def write(tokenizer, path):
    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    with open(path, "w", encoding="ascii") as out:
        out.write("# Made by tools/goldens/make_tokenizer_goldens.py; see there.\n")
        for text in TEXTS:
            out.write("text %s %s\n" % (text.encode().hex() or "-", " ".join(map(str, encode(text)))))
        for page in range(0x1100):
            if 0xD8 <= page < 0xE0:
                continue
            hashed = Hash()
            for c in range(page * 256, page * 256 + 256):
                for surrounding in SURROUNDINGS:
                    hashed.ids(encode(surrounding.replace("{}", chr(c))))
            out.write("page %d %08x\n" % (page, hashed.value))
        random = Random(20240229)
        for block in range(200):
            hashed = Hash()
            for _ in range(100):
                hashed.ids(encode(random_text(random)))
            out.write("fuzz %d %08x\n" % (block, hashed.value))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--save")
    args = parser.parse_args()
    qwen = os.path.join(args.models, "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
    smollm = os.path.join(args.models, "smollm2-135m-instruct-q4_1.gguf")
    for kind, path in (("qwen2", qwen), ("smollm", smollm), ("deepseek-r1-qwen", qwen)):
        tokenizer = oracle(path, kind)
        if args.save:
            os.makedirs(os.path.join(args.save, kind), exist_ok=True)
            tokenizer.save(os.path.join(args.save, kind, "tokenizer.json"))
        write(tokenizer, os.path.join(args.out, "tokenizer_%s.txt" % kind))
    return 0


if __name__ == "__main__":
    sys.exit(main())
