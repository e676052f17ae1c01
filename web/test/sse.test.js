import assert from "node:assert/strict";
import test from "node:test";
import { SseParser } from "../src/api/sse.js";

const bytes = (text) => new TextEncoder().encode(text);
const all = (text) => new SseParser().push(bytes(text));

test("joins data lines, takes the event's name, drops comments", () => {
  assert.deepEqual(all(": ping\n\nevent: error\ndata: a\ndata: b\n\ndata:c\n\n"), [
    { event: "error", data: "a\nb" },
    { event: "message", data: "c" },
  ]);
});

test("only one space goes after the colon, and a field may have none", () => {
  assert.deepEqual(all("data:  two\ndata\nid: 7\n\n"), [{ event: "message", data: " two\n" }]);
});

test("an event that does not end is not one", () => {
  assert.deepEqual(all("data: x\n"), []);
});

test("a name does not outlive its event", () => {
  assert.deepEqual(all("event: error\n\ndata: x\n\n"), [{ event: "message", data: "x" }]);
});

test("a byte order mark is dropped", () => {
  assert.deepEqual(all("\uFEFFdata: x\n\n"), [{ event: "message", data: "x" }]);
});

test("every cut of the bytes gives the same events, with each kind of line end", () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    const lines = ['data: {"text":"合同 🎻"}', "", ": ping", "", "event: error", "data: 1", "data: 2", "", "data: [DONE]", "", ""];
    // A last CR is not known to be a whole line end before the next byte; the comment settles it.
    const stream = bytes(`${lines.join(end)}:`);
    const expected = [
      { event: "message", data: '{"text":"合同 🎻"}' },
      { event: "error", data: "1\n2" },
      { event: "message", data: "[DONE]" },
    ];
    for (let cut = 0; cut <= stream.length; ++cut) {
      const parser = new SseParser();
      const events = [...parser.push(stream.slice(0, cut)), ...parser.push(stream.slice(cut))];
      assert.deepEqual(events, expected, `line end ${JSON.stringify(end)}, cut at ${cut}`);
    }
    const parser = new SseParser();
    assert.deepEqual(Array.from(stream, (byte) => parser.push(Uint8Array.of(byte))).flat(), expected);
  }
});
