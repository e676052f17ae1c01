// One streamed answer: POST /v1/chat/completions, read as it comes.
import { request } from "./client.js";
import { ApiError, errorFromBody } from "./errors.js";
import { SseParser } from "./sse.js";

// Headers carry text as percent-encoded UTF-8; a long one may be cut inside a character.
function decoded(value) {
  try {
    return value && decodeURIComponent(value);
  } catch {
    return value;
  }
}

export function routeFromHeaders(headers) {
  const confidence = headers.get("x-concerto-confidence");
  return {
    tier: decoded(headers.get("x-concerto-tier")) ?? "",
    reason: decoded(headers.get("x-concerto-reason")) ?? "",
    confidence: confidence === null ? null : Number(confidence),
    case: decoded(headers.get("x-concerto-case")) || null,
  };
}

// What one chunk of the stream says, as the page's own events.
export function eventsOfChunk(chunk) {
  const events = [];
  const choice = chunk.choices?.[0];
  const content = choice?.delta?.content ?? "";
  const reasoning = choice?.delta?.reasoning_content ?? "";
  if (content || reasoning) events.push({ type: "delta", content, reasoning });
  if (choice?.finish_reason) {
    events.push({ type: "finish", finish: choice.finish_reason, route: chunk.concerto ?? null, timings: chunk.timings ?? null });
  }
  return events;
}

// Yields {type: "route", route}, then "delta"s, then one "finish". Throws ApiError, and AbortError after a stop.
export async function* streamChat(body, { key, signal }) {
  const response = await request("/v1/chat/completions", { key, signal, body: { ...body, stream: true } });
  yield { type: "route", route: routeFromHeaders(response.headers) };
  const parser = new SseParser();
  const reader = response.body.getReader();
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError("cut", error.message);
    }
    if (part.done) throw new ApiError("cut", "the stream ended before [DONE]");
    for (const { event, data } of parser.push(part.value)) {
      if (event === "error") throw errorFromBody(data);
      if (data === "[DONE]") return;
      let chunk;
      try {
        chunk = JSON.parse(data);
      } catch {
        throw new ApiError("bad_answer", `stream: expected JSON, found ${data.slice(0, 80)}`);
      }
      yield* eventsOfChunk(chunk);
    }
  }
}
