// The stream of an answer against a server of the test's own, byte by byte as the API sends it.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { eventsOfChunk, routeFromHeaders, streamChat } from "../src/api/chat.js";
import { requestMessages } from "../src/state/session.js";

let handle; // (request, response, body) of the test under way
let server;
const realFetch = globalThis.fetch;

before(async () => {
  server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    handle(request, response, body);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const base = `http://127.0.0.1:${server.address().port}`;
  globalThis.fetch = (path, options) => realFetch(base + path, options);
});
after(() => {
  globalThis.fetch = realFetch;
  server.closeAllConnections?.();
  server.close();
});

const chunk = (delta, extra = {}) =>
  `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta, finish_reason: null }], ...extra })}\n\n`;
const finish = `data: ${JSON.stringify({
  choices: [{ index: 0, delta: {}, finish_reason: "stop" }],
  timings: { predicted_n: 2 },
  concerto: { tier: "fast", reason: "confident", confidence: 0.9, calibrated: false, case: null, attempts: [] },
})}\n\n`;

async function collect(options = {}) {
  const events = [];
  let error = null;
  try {
    for await (const event of streamChat({ model: "concerto", messages: [] }, { key: "", ...options })) events.push(event);
  } catch (caught) {
    error = caught;
  }
  return { events, error };
}

test("route, deltas, finish", async () => {
  let seen;
  handle = (request, response, body) => {
    seen = { headers: request.headers, body: JSON.parse(body) };
    response.writeHead(200, { "content-type": "text/event-stream", "x-concerto-tier": "fast", "x-concerto-reason": "keyword:%E5%90%88%E5%90%8C", "x-concerto-confidence": "0.9000" });
    response.write(chunk({ role: "assistant", content: "" }));
    response.write(": ping\n\n");
    response.write(chunk({ reasoning_content: "hm" }));
    response.write(chunk({ content: "你好" }));
    response.end(`${finish}data: [DONE]\n\n`);
  };
  const { events, error } = await collect({ key: "k" });
  assert.equal(error, null);
  assert.deepEqual(events[0], { type: "route", route: { tier: "fast", reason: "keyword:合同", confidence: 0.9, case: null } });
  assert.deepEqual(events.slice(1, 3), [
    { type: "delta", content: "", reasoning: "hm" },
    { type: "delta", content: "你好", reasoning: "" },
  ]);
  assert.equal(events[3].type, "finish");
  assert.equal(events[3].route.tier, "fast");
  assert.equal(events.length, 4);
  assert.equal(seen.headers.authorization, "Bearer k");
  assert.equal(seen.body.stream, true);
});

test("an error before the stream keeps its code, status and Retry-After", async () => {
  handle = (request, response) => {
    response.writeHead(429, { "content-type": "application/json", "retry-after": "3" });
    response.end('{"error":{"message":"queue full","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}');
  };
  const { error } = await collect();
  assert.deepEqual([error.code, error.status, error.retryAfter, error.message], ["rate_limit_exceeded", 429, 3, "queue full"]);
});

test("an error that is no JSON is still an error", async () => {
  handle = (request, response) => response.writeHead(502).end("<html>bad gateway</html>");
  const { error } = await collect();
  assert.deepEqual([error.code, error.status], ["http_502", 502]);
});

test("an error event in the middle of the stream", async () => {
  handle = (request, response) => {
    response.writeHead(200);
    response.end(`${chunk({ content: "a" })}event: error\ndata: {"error":{"message":"gone","code":"upstream_error"}}\n\n`);
  };
  const { events, error } = await collect();
  assert.equal(events.at(-1).content, "a");
  assert.deepEqual([error.code, error.message], ["upstream_error", "gone"]);
});

test("a stream without its end was cut, politely or not", async () => {
  handle = (request, response) => response.writeHead(200).end(chunk({ content: "a" }));
  assert.equal((await collect()).error.code, "cut");
  handle = (request, response) => {
    response.writeHead(200);
    response.write(chunk({ content: "a" }), () => setTimeout(() => response.destroy(), 50));
  };
  assert.equal((await collect()).error.code, "cut");
});

test("a stop ends it as AbortError", async () => {
  const abort = new AbortController();
  handle = (request, response) => {
    response.writeHead(200);
    response.write(chunk({ content: "a" }));
    setTimeout(() => abort.abort(), 50);
  };
  assert.equal((await collect({ signal: abort.signal })).error.name, "AbortError");
});

test("no server at all", async () => {
  const before = globalThis.fetch;
  globalThis.fetch = () => realFetch("http://127.0.0.1:1/");
  assert.equal((await collect()).error.code, "network");
  globalThis.fetch = before;
});

test("headers: a percent-encoding cut in the middle is kept as it is", () => {
  const headers = new Headers({ "x-concerto-tier": "fast", "x-concerto-reason": "keyword:%E5%90", "x-concerto-case": "case_1" });
  assert.deepEqual(routeFromHeaders(headers), { tier: "fast", reason: "keyword:%E5%90", confidence: null, case: "case_1" });
});

test("a chunk of usage alone says nothing", () => {
  assert.deepEqual(eventsOfChunk({ choices: [], usage: {} }), []);
});

test("the conversation that is sent", () => {
  const messages = [
    { role: "user", content: "a" },
    { role: "assistant", content: "passed on", desk: { id: "case_1", state: "answered", answer: "by hand" } },
    { role: "user", content: "b" },
    { role: "assistant", content: "", error: {} },
    { role: "user", content: "c" },
    { role: "assistant", content: "half", reasoning: "hm", status: "stopped" },
  ];
  assert.deepEqual(requestMessages(messages), [
    { role: "user", content: "a" },
    { role: "assistant", content: "by hand" },
    { role: "user", content: "b" },
    { role: "user", content: "c" },
    { role: "assistant", content: "half" },
  ]);
});
