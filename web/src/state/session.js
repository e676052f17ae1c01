// Asking and answering: sends the conversation, follows the stream, stops it, asks again.
import { signal } from "@preact/signals";
import { streamChat } from "../api/chat.js";
import { t } from "../i18n/index.js";
import { announce } from "./announce.js";
import { watchCase } from "./cases.js";
import { addMessage, createChat, current, patch, save } from "./chats.js";
import { askForKey } from "./models.js";
import { apiKey, model } from "./settings.js";

// How often a stream is shown: faster than the eye follows text, slower than a fast model's tokens. A timer, not an
// animation frame: frames stop in a hidden tab.
const kShowMs = 50;

// The answer under way: {chat, message, abort}; one at a time.
export const running = signal(null);

// The conversation as the API takes it. What a person answered stands for what the desk said at first; an answer that
// failed before its first word is left out, and so is thinking, as the models' own templates do.
export function requestMessages(messages) {
  const out = [];
  for (const message of messages) {
    const content = message.desk?.state === "answered" ? message.desk.answer : message.content;
    if (message.role === "assistant" && !content) continue;
    out.push({ role: message.role, content });
  }
  return out;
}

export function send(text) {
  const content = text.trim();
  if (!content || running.value) return false;
  const chat = current.value ?? createChat(content);
  addMessage(chat, { role: "user", content });
  answer(chat);
  return true;
}

export function stop() {
  running.value?.abort.abort();
}

// Drops `message` and all after it, and answers anew. The same request with the same seed gives the same bytes: what
// is to come out another way says another seed.
export function regenerate(chat, message, { by } = {}) {
  if (running.value) return;
  const place = chat.messages.value.indexOf(message);
  const failed = message.value.status === "error";
  chat.messages.value = chat.messages.value.slice(0, place);
  answer(chat, { by, seed: failed || by ? undefined : crypto.getRandomValues(new Uint32Array(1))[0] });
}

export function editAndResend(chat, message, text) {
  const content = text.trim();
  if (!content || running.value) return;
  const place = chat.messages.value.indexOf(message);
  chat.messages.value = chat.messages.value.slice(0, place);
  addMessage(chat, { role: "user", content });
  answer(chat);
}

async function answer(chat, { by = model.value, seed } = {}) {
  const messages = requestMessages(chat.messages.value.map((one) => one.value));
  const message = addMessage(chat, { role: "assistant", status: "waiting", reasoning: "", asked: by });
  const abort = new AbortController();
  running.value = { chat, message, abort };
  save(chat);
  const show = new Display(message);
  try {
    const body = { model: by, messages };
    if (seed !== undefined) body.seed = seed;
    for await (const event of streamChat(body, { key: apiKey.value, signal: abort.signal })) show.take(event);
    show.end({ status: "done" });
    announce(t("announce.done"));
  } catch (error) {
    if (error.name === "AbortError") {
      show.end({ status: "stopped" });
    } else {
      const { code = "server", status = 0, retryAfter = 0 } = error;
      show.end({ status: "error", error: { code, status, retryAfter, message: error.message } });
      if (status === 401) askForKey();
    }
  } finally {
    running.value = null;
    save(chat);
  }
  if (message.value.desk) watchCase(chat, message);
}

// Gathers what a stream says and shows it every kShowMs.
class Display {
  #message;
  #pending = {};
  #timer = 0;
  #thinkStart = 0;

  constructor(message) {
    this.#message = message;
  }

  take(event) {
    const now = { ...this.#message.value, ...this.#pending };
    if (event.type === "route") this.#set({ status: "streaming", ...this.#route(event.route) });
    if (event.type === "delta") this.#set(this.#delta(now, event));
    if (event.type === "finish") {
      this.#set({ finish: event.finish, timings: event.timings, ...(event.route && this.#route(event.route)) });
    }
  }

  end(fields) {
    clearTimeout(this.#timer);
    const now = { ...this.#message.value, ...this.#pending, ...fields };
    if (this.#thinkStart && now.thinkMs === undefined) fields.thinkMs = performance.now() - this.#thinkStart;
    patch(this.#message, { ...this.#pending, ...fields });
  }

  #route(route) {
    const desk = route.case ? { desk: { id: route.case, state: "open" } } : {};
    return { route, ...desk };
  }

  #delta(now, { content, reasoning }) {
    const fields = {};
    if (reasoning) {
      this.#thinkStart ||= performance.now();
      fields.reasoning = now.reasoning + reasoning;
    }
    if (content) {
      if (this.#thinkStart && now.thinkMs === undefined) fields.thinkMs = performance.now() - this.#thinkStart;
      fields.content = now.content + content;
    }
    return fields;
  }

  #set(fields) {
    Object.assign(this.#pending, fields);
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      patch(this.#message, this.#pending);
      this.#pending = {};
    }, kShowMs);
  }
}
