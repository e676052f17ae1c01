#!/usr/bin/env python3
"""Writes tests/data/text/template_goldens.jsonl: prompts that Jinja2 renders, for tests/text/template_golden_test.

    python3 tools/goldens/make_template_goldens.py --models ~/.cache/concerto/models --data tests/data/text

Needs the packages Jinja2 (3.1) and gguf. The templates are those inside the real GGUF files, and
tests/data/text/templates/deepseek-r1-distill.jinja; Jinja2 is set up as transformers' apply_chat_template does it
(sandbox, trim_blocks, lstrip_blocks, loopcontrols, tojson without HTML escapes, raise_exception).
With --compare FILE the R1 template is compared with the one published in FILE (tokenizer_config.json or .jinja).

Each line: template, its bos and eos, the three JSON texts that go in, add_generation_prompt, and either "expected" or
"error": true where Jinja2 fails.
"""
import argparse
import json
import os
import pathlib

import jinja2
from gguf import GGUFReader
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

FILES = {"qwen2.5-coder-0.5b": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
         "qwen2.5-coder-1.5b": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
         "smollm2-135m": "smollm2-135m-instruct-q4_1.gguf"}
R1 = "deepseek-r1-distill"


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments):
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


WEATHER = {"type": "function", "function": {
    "name": "天气", "description": "Weather of a city: <b>now</b> & \"later\"", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 0.5}},
        "required": ["city"], "additionalProperties": False}}}

CONVERSATIONS = [
    [say("user", "你好，请问怎么退货？")],
    [say("system", "你是青禾电器的客服。"), say("user", "洗衣机漏水怎么办？")],
    [say("system", "Be brief."), say("user", "1+1?"), say("assistant", "2"), say("user", "and 2+2?")],
    [say("user", "x"), say("assistant", "<think>\n先想想 </think> 再想\n</think>\n\n答案是 4。"), say("user", "y")],
    [say("system", ""), say("user", "  spaces \n\n and\ttabs\r\n kept  ")],
    [say("user", "<b>&'\"</b> {{ not a template }} {% if %} {# #} \\n \u2028 👩‍👩‍👧 \u0000 end")],
    [say("user", "a"), say("system", "late system"), say("user", "b")],
    [say("user", "", name="empty"), say("assistant", "")],
    [say("system", "one"), say("system", "two"), say("user", "three")],
    [say("user", f"第{i}句" if i % 2 == 0 else "") if i % 2 == 0 else say("assistant", f"答{i}") for i in range(20)],
]
WITH_TOOLS = [
    [say("user", "北京天气？"), say("assistant", "", tool_calls=[call("天气", {"city": "北京", "days": 3, "x": [1.5, None, True]})]),
     say("tool", "{\"t\": 21}"), say("tool", "晴"), say("assistant", "21 度，晴。"), say("user", "谢谢")],
    [say("system", "s"), say("user", "u")],
]
R1_TOOLS = [
    [say("user", "北京天气？"), say("assistant", None, tool_calls=[call("a", "{\"city\": \"北京\"}"), call("b", "{}")]),
     say("tool", "晴"), say("tool", "雨"), say("assistant", "一半一半。"), say("user", "谢谢")],
    [say("user", "q"), say("assistant", None, tool_calls=[call("a", "{}")]), say("tool", "r")],
]
BAD = [[{"role": "user"}], [{"content": "no role"}], []]


def environment():
    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = refuse
    return made


def render(template, bos, eos, messages, tools, generation):
    return template.render(messages=messages, tools=tools, documents=None, add_generation_prompt=generation,
                           bos_token=bos, eos_token=eos)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path(os.path.expanduser("~/.cache/concerto/models")))
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("tests/data/text"))
    parser.add_argument("--compare", type=pathlib.Path)
    options = parser.parse_args()
    templates = {}
    for name, file in FILES.items():
        fields = GGUFReader(options.models / file).fields
        tokens = fields["tokenizer.ggml.tokens"].contents()
        ids = [fields[f"tokenizer.ggml.{kind}_token_id"].contents() for kind in ("bos", "eos")]
        templates[name] = (fields["tokenizer.chat_template"].contents(), *[tokens[i] for i in ids])
    r1 = (options.data / "templates" / f"{R1}.jinja").read_text(encoding="utf-8")
    templates[R1] = (r1, "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")

    published = None
    if options.compare:
        text = options.compare.read_text(encoding="utf-8")
        published = json.loads(text)["chat_template"] if options.compare.suffix == ".json" else text
    count = 0
    with open(options.data / "template_goldens.jsonl", "w", encoding="utf-8") as out:
        out.write("# Made by tools/goldens/make_template_goldens.py; see there.\n")
        for name, (source, bos, eos) in templates.items():
            template = environment().from_string(source)
            cases = [(c, None, g) for c in CONVERSATIONS + BAD for g in (True, False)]
            cases += [(c, None, True) for c in R1_TOOLS] if name == R1 else [(c, [WEATHER], True) for c in WITH_TOOLS]
            for messages, tools, generation in cases:
                row = {"template": name, "bos": bos, "eos": eos, "messages": json.dumps(messages, ensure_ascii=False),
                       "tools": json.dumps(tools, ensure_ascii=False) if tools else "",
                       "add_generation_prompt": generation}
                try:
                    row["expected"] = render(template, bos, eos, messages, tools, generation)
                except (jinja2.exceptions.TemplateError, TypeError) as e:
                    row["error"] = True
                    print(f"{name}: {type(e).__name__}: {e}")
                if published and name == R1 and "expected" in row:
                    theirs = render(environment().from_string(published), bos, eos, messages, tools, generation)
                    assert theirs == row["expected"], (messages, theirs, row["expected"])
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
    print(f"{count} prompts{', R1 as published' if published else ''}")


if __name__ == "__main__":
    main()
