"""The official `openai` client against the real program and real weights, then bad input, then kill -9.

    python3 tests/clients/clients_test.py [CLASS[.TEST]]

CONCERTO_PROGRAM: the concerto to test (default build/test/concerto). Without network, program or weights it is skipped,
saying why.
"""
import concurrent.futures
import json
import pathlib
import re
import socket
import sys
import unittest

import environment
import program

reason = program.missing() or environment.enter()
if reason:
    # One skipped test, so that the sums show it.
    class Clients(unittest.TestCase):
        @unittest.skip(reason)
        def test_clients(self):
            pass

    unittest.main()
    sys.exit()

import openai  # noqa: E402

HELLO = [{"role": "user", "content": "Write one sentence about the sea."}]
CHINESE = [{"role": "system", "content": "你是客服。"}, {"role": "user", "content": "几天能发货？"}]


def client_of(server, key="any"):
    return openai.OpenAI(base_url=server.url, api_key=key, max_retries=0, timeout=120)


def ask(client, messages=None, **options):
    return client.chat.completions.create(model=options.pop("model", "tiny"), messages=messages or HELLO,
                                          **{"max_tokens": 24, "temperature": 0.0, **options})


def streamed(client, messages=None, **options):
    """(text, finish reason, logprobs, usage, chunks) of a stream."""
    text, finish, logprobs, usage, chunks = "", None, [], None, []
    for chunk in ask(client, messages, stream=True, stream_options={"include_usage": True}, **options):
        chunks.append(chunk)
        if chunk.usage is not None:
            usage = chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            if choice.logprobs:
                logprobs += choice.logprobs.content or []
            finish = choice.finish_reason or finish
    return text, finish, logprobs, usage, chunks


def plain(logprobs):
    return [(t.token, t.logprob, t.bytes, [(o.token, o.logprob) for o in t.top_logprobs]) for t in logprobs]


class WithServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = program.Server()
        cls.addClassCleanup(cls.server.close)
        cls.client = client_of(cls.server)


class OpenAiClient(WithServer):
    def test_models(self):
        self.assertEqual({m.id for m in self.client.models.list()}, {"concerto", "tiny", "people"})
        self.assertEqual(self.client.models.retrieve("tiny").id, "tiny")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("nosuch")

    def test_chat(self):
        answer = ask(self.client)
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertGreater(len(answer.choices[0].message.content), 10)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertGreater(answer.usage.prompt_tokens, 10)

    def test_length_and_usage(self):
        answer = ask(self.client, max_tokens=7)
        self.assertEqual((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 7))

    def test_who_answered_is_said(self):
        raw = self.client.chat.completions.with_raw_response.create(
            model="concerto", messages=HELLO, max_tokens=8, temperature=0)
        self.assertEqual(raw.headers["x-concerto-tier"], "tiny")
        self.assertTrue(raw.headers["x-concerto-reason"])
        self.assertLessEqual(float(raw.headers["x-concerto-confidence"]), 1)
        told = raw.parse().model_extra["concerto"]
        self.assertEqual(told["tier"], "tiny")
        last = streamed(self.client, model="concerto", max_tokens=8)[4]
        self.assertEqual([c.model_extra["concerto"]["tier"] for c in last if "concerto" in (c.model_extra or {})], ["tiny"])

    def test_stream_equals_whole(self):
        for options in ({}, {"temperature": 0.9, "seed": 5, "top_p": 0.9}, {"logprobs": True, "top_logprobs": 3}):
            for messages in (HELLO, CHINESE):
                with self.subTest(options=options, messages=messages):
                    whole = ask(self.client, messages, **options)
                    text, finish, logprobs, usage, chunks = streamed(self.client, messages, **options)
                    choice = whole.choices[0]
                    self.assertEqual((text, finish), (choice.message.content, choice.finish_reason))
                    self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)
                    self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
                    self.assertEqual(len({c.id for c in chunks}), 1)
                    if choice.logprobs:
                        self.assertEqual(plain(logprobs), plain(choice.logprobs.content))

    def test_logprobs(self):
        answer = ask(self.client, logprobs=True, top_logprobs=5)
        tokens = answer.choices[0].logprobs.content
        self.assertEqual(b"".join(bytes(t.bytes) for t in tokens).decode(), answer.choices[0].message.content)
        for t in tokens:
            self.assertLessEqual(t.logprob, 0)
            values = [o.logprob for o in t.top_logprobs]
            self.assertEqual((len(values), values), (5, sorted(values, reverse=True)))
            self.assertLessEqual(sum(2.718281828 ** v for v in values), 1.0001)
            # Greedy: the token taken is the likeliest.
            self.assertEqual((t.token, t.logprob), (t.top_logprobs[0].token, values[0]))
        self.assertIsNone(ask(self.client).choices[0].logprobs)

    def test_several_choices(self):
        options = {"temperature": 1, "seed": 3, "max_tokens": 24, "logit_bias": {"0": -100, "2": -100}}
        several = ask(self.client, n=4, **options)
        texts = [c.message.content for c in several.choices]
        self.assertEqual([c.index for c in several.choices], [0, 1, 2, 3])
        self.assertEqual(len(set(texts)), 4)
        self.assertEqual(several.usage.completion_tokens, 4 * 24)
        self.assertEqual(several.usage.prompt_tokens, ask(self.client, **options).usage.prompt_tokens)
        # The first is what it would be alone, each is the same again, and streamed as well.
        self.assertEqual(ask(self.client, **options).choices[0].message.content, texts[0])
        self.assertEqual([c.message.content for c in ask(self.client, n=4, **options).choices], texts)
        parts = {}
        for chunk in ask(self.client, n=4, stream=True, **options):
            for c in chunk.choices:
                parts[c.index] = parts.get(c.index, "") + (c.delta.content or "")
        self.assertEqual([parts[i] for i in range(4)], texts)

    def test_a_seed_gives_the_same_again(self):
        def draw(seed):
            return ask(self.client, temperature=1.0, seed=seed).choices[0].message.content

        first = [draw(seed) for seed in range(4)]
        self.assertEqual(first, [draw(seed) for seed in range(4)])
        self.assertGreater(len(set(first)), 1)

    def test_among_eight_as_alone(self):
        requests = [dict(messages=[{"role": "user", "content": f"Count to {n + 3}. " * (1 + 9 * (n % 3))}], max_tokens=20,
                         temperature=0.7 * (n % 2), seed=n, logprobs=True, top_logprobs=2) for n in range(8)]

        def run(request):
            choice = ask(self.client, **request).choices[0]
            return choice.message.content, plain(choice.logprobs.content)

        alone = [run(r) for r in requests]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(list(pool.map(run, requests)), alone)

    def test_stop_strings(self):
        whole = ask(self.client).choices[0].message.content
        stop = whole[len(whole) // 2:len(whole) // 2 + 4]
        cut = whole[:whole.index(stop)]
        choice = ask(self.client, stop=[stop, "never said"]).choices[0]
        self.assertEqual((choice.message.content, choice.finish_reason), (cut, "stop"))
        self.assertEqual(streamed(self.client, stop=stop)[:2], (cut, "stop"))

    def test_a_long_prompt_is_refused_by_name(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            ask(self.client, [{"role": "user", "content": "word " * 50_000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        self.assertRegex(caught.exception.message, r"\d")

    def test_typed_errors(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            ask(self.client, model="nosuch")
        self.assertEqual((caught.exception.code, caught.exception.param), ("model_not_found", "model"))
        for param, options in (("temperature", {"temperature": 5}), ("top_logprobs", {"logprobs": True, "top_logprobs": 50}),
                               ("max_tokens", {"max_tokens": 0}), ("stop", {"stop": ["x"] * 40}),
                               ("n", {"n": 99})):
            with self.subTest(param=param), self.assertRaises(openai.BadRequestError) as caught:
                ask(self.client, **options)
            self.assertIn(param, (caught.exception.param, *caught.exception.message.split(":")))

    def test_leaving_a_stream_leaves_the_server_well(self):
        expected = ask(self.client).choices[0].message.content
        for _ in range(5):
            stream = ask(self.client, stream=True, max_tokens=400)
            next(iter(stream))
            stream.close()
        self.assertEqual(ask(self.client).choices[0].message.content, expected)


class Keys(unittest.TestCase):
    def test_keys(self):
        server = program.Server(keys=True)
        self.addCleanup(server.close)
        with self.assertRaises(openai.AuthenticationError):
            ask(client_of(server, "wrong"))
        with self.assertRaises(openai.AuthenticationError):
            client_of(server, "wrong").models.list()
        self.assertTrue(ask(client_of(server, program.USER_KEY), max_tokens=4).choices[0].message.content)
        status, _, body = server.raw("POST", "/v1/cases/none/answer", '{"answer": "x"}',
                                     {"Authorization": f"Bearer {program.USER_KEY}"})
        self.assertEqual((status, json.loads(body)["error"]["type"]), (403, "permission_error"))
        self.assertEqual(server.raw("GET", "/livez")[0], 200)


class BadInput(WithServer):
    PATH = "/v1/chat/completions"

    def setUp(self):
        self.good = json.dumps({"model": "tiny", "messages": HELLO, "max_tokens": 6, "temperature": 0})

    def tearDown(self):
        """Whatever was sent, the server goes on."""
        status, _, body = self.server.raw("POST", self.PATH, self.good)
        self.assertEqual(status, 200, body)

    def refused(self, body, status=400, part=None, headers=None):
        got, _, answer = self.server.raw("POST", self.PATH, body, headers)
        self.assertEqual(got, status, answer[:300])
        error = json.loads(answer)["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertTrue(error["message"])
        if part:
            self.assertIn(part, error["message"])
        return error

    def test_not_json(self):
        for body in (b"", b"{", b"[]", b"null", b'"x"', b"{'model': 1}", b'{"model": "tiny",}', b"\x00", b"[" * 100_000,
                     b'{"a":' * 50_000, b'{"model": NaN}', b"\xef\xbb\xbf{}"):
            with self.subTest(body=body[:20]):
                self.refused(body)

    def test_not_utf8(self):
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8"):
            with self.subTest(bad=bad):
                self.refused(b'{"model": "tiny", "messages": [{"role": "user", "content": "' + bad + b'"}]}')

    def test_wrong_types(self):
        for field, value in (("model", 5), ("model", None), ("messages", "hi"), ("messages", []), ("messages", [5]),
                             ("messages", [{"role": "user"}]), ("messages", [{"role": "king", "content": "x"}]),
                             ("messages", [{"role": "user", "content": 5}]), ("temperature", "hot"), ("seed", 1.5),
                             ("stream", "yes"), ("max_tokens", 2.5), ("stop", 5), ("logit_bias", {"x": 1}),
                             ("logprobs", 3), ("temprature", 1)):
            with self.subTest(field=field, value=value):
                self.refused(json.dumps({**json.loads(self.good), field: value}), part=field)

    def test_unknown_model(self):
        self.assertEqual(self.refused(json.dumps({"model": "gpt", "messages": HELLO}), 404)["code"], "model_not_found")

    def test_too_long(self):
        body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "词 " * 60_000}]})
        self.assertEqual(self.refused(body)["code"], "context_length_exceeded")

    def test_too_large(self):
        status, _, _ = self.server.raw("POST", self.PATH, b" " * (9 << 20))
        self.assertEqual(status, 413)

    def test_another_type_of_body(self):
        self.refused(self.good, 415, headers={"Content-Type": "text/plain"})

    def test_paths_and_methods(self):
        self.assertEqual(self.server.raw("GET", "/v1/nosuch")[0], 404)
        self.assertEqual(self.server.raw("DELETE", self.PATH)[0], 405)
        self.assertEqual(self.server.raw("GET", "/v1/cases/nosuch")[0], 404)
        self.assertEqual(self.server.raw("GET", "/../../etc/passwd")[0] // 100, 4)

    def test_broken_http(self):
        for text in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00", b"A" * 100_000,
                     b"POST " + self.PATH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
                     b"POST " + self.PATH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"):
            with self.subTest(text=text[:30]), socket.create_connection(("127.0.0.1", self.server.port), 10) as s:
                s.sendall(text)
                s.shutdown(socket.SHUT_WR)
                answer = b""
                try:
                    while part := s.recv(4096):
                        answer += part
                except ConnectionError:
                    pass
                self.assertFalse(answer.startswith(b"HTTP/1.1 200"), answer[:100])


class Memory(unittest.TestCase):
    """More conversations than the declared memory holds: they take turns, and the server stays within it."""

    LIMIT_MB = 300

    def test_stays_within_the_budget(self):
        server = program.Server(flags=("--memory", str(self.LIMIT_MB)))
        self.addCleanup(server.close)
        client = client_of(server)

        def chat(i):
            question = f"Story {i}. " + " ".join(f"word{(i * 7 + j * 13) % 97}" for j in range(120))
            return ask(client, [{"role": "user", "content": question}], max_tokens=250, temperature=1, seed=i,
                       logit_bias={"0": -100, "2": -100})  # the end tokens

        with concurrent.futures.ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(chat, range(12)))
        self.assertEqual([a.choices[0].finish_reason for a in answers], ["length"] * 12)
        self.assertEqual(answers[11].choices[0].message.content, chat(11).choices[0].message.content)
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        peak_mb = int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024
        self.assertLess(peak_mb, self.LIMIT_MB, server.output())
        metrics = server.raw("GET", "/metrics")[2].decode()
        blocks = int(re.search(r'concerto_engine_kv_blocks\{tier="tiny"\} (\d+)', metrics).group(1))
        asked = sum((a.usage.total_tokens + 63) // 64 for a in answers)
        self.assertLess(blocks, asked, "the pool must be too small for this test to mean anything")
        self.assertIn('concerto_engine_running{tier="tiny"} 0', metrics)

    def test_weights_that_cannot_fit_are_refused_before_they_load(self):
        with self.assertRaisesRegex(RuntimeError, "memory: expected at least .* for the weights"):
            program.Server(flags=("--memory", "120"))


class Cases(unittest.TestCase):
    """A question that only people may answer, and a machine that loses its power."""

    def test_a_case_outlives_kill_9(self):
        server = program.Server()
        self.addCleanup(server.close)
        question = "这份合同违约以后怎么赔偿？"
        request = json.dumps({"model": "concerto", "messages": [{"role": "user", "content": question}]})
        status, headers, body = server.raw("POST", "/v1/chat/completions", request)
        server.kill()
        self.assertEqual(status, 200, body)
        case, answer = headers["x-concerto-case"], json.loads(body)
        self.assertEqual(headers["x-concerto-tier"], "people")
        self.assertEqual(answer["concerto"]["case"], case)
        self.assertIn(case, answer["choices"][0]["message"]["content"])

        server.start()
        status, _, body = server.raw("GET", f"/v1/cases/{case}")
        self.assertEqual(status, 200, body)
        info = json.loads(body)
        self.assertEqual((info["state"], info["question"], info["label"]), ("open", question, "蒸馏版未覆盖case"))

        path, text = f"/v1/cases/{case}/answer", json.dumps({"answer": "请看第八条。", "answered_by": "林晓"})
        self.assertEqual(server.raw("POST", path, text)[0], 401)
        admin = {"Authorization": f"Bearer {program.ADMIN_KEY}"}
        status, _, body = server.raw("POST", path, text, admin)
        server.kill()
        self.assertEqual(status, 200, body)

        server.start()
        info = json.loads(server.raw("GET", f"/v1/cases/{case}")[2])
        self.assertEqual((info["state"], info["answer"], info["answered_by"]), ("answered", "请看第八条。", "林晓"))
        self.assertEqual(server.raw("POST", path, text, admin)[0], 409)
        self.assertEqual(server.stop(), 0, server.output())


if __name__ == "__main__":
    unittest.main()
