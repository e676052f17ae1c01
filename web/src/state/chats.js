// The conversations. A chat is {id, title, updated, messages}: title and messages are signals, and each message is a
// signal of a plain object, so that a token of a stream shows one message anew and nothing else.
//
// A message: {id, role: "user" | "assistant", content}, and for an answer besides
//   status: "waiting" | "streaming" | "done" | "stopped" | "error"
//   reasoning, thinkMs; route (the server's `concerto` object), timings, finish; error {code, message, status}
//   desk: {id, state: "open" | "answered" | "gone", answer, answeredBy}: the case at the people's desk
import { computed, signal } from "@preact/signals";
import { names, read, remove, write } from "./storage.js";

const kTitleLength = 40;

export const chats = signal([]); // newest first
export const currentId = signal(null);
export const current = computed(() => chats.value.find((chat) => chat.id === currentId.value) ?? null);

export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), (b) => b.toString(36)).join("");
export const patch = (message, fields) => (message.value = { ...message.value, ...fields });

export function titleOf(text) {
  const line = text.trim().split("\n")[0];
  const letters = [...line];
  return letters.length > kTitleLength ? `${letters.slice(0, kTitleLength).join("")}…` : line;
}

export function createChat(firstText) {
  const chat = { id: newId(), title: signal(titleOf(firstText)), updated: Date.now(), messages: signal([]) };
  chats.value = [chat, ...chats.value];
  currentId.value = chat.id;
  return chat;
}

export function addMessage(chat, fields) {
  const message = signal({ id: newId(), content: "", ...fields });
  chat.messages.value = [...chat.messages.value, message];
  return message;
}

export function save(chat) {
  if (!chats.value.includes(chat)) return; // deleted while its answer was under way
  chat.updated = Date.now();
  const messages = chat.messages.value.map((message) => message.value);
  write(`chat.${chat.id}`, { id: chat.id, title: chat.title.value, updated: chat.updated, messages });
}

export function deleteChat(chat) {
  chats.value = chats.value.filter((one) => one !== chat);
  if (currentId.value === chat.id) currentId.value = null;
  remove(`chat.${chat.id}`);
}

// What was under way when the page went away was stopped by that.
function revived(message) {
  const under_way = message.status === "waiting" || message.status === "streaming";
  return signal(under_way ? { ...message, status: "stopped" } : message);
}

export function loadChats() {
  const kept = names("chat.")
    .map((name) => read(name, null))
    .filter((chat) => typeof chat?.id === "string" && Array.isArray(chat.messages));
  kept.sort((a, b) => (b.updated || 0) - (a.updated || 0));
  chats.value = kept.map((chat) => ({
    id: chat.id,
    title: signal(String(chat.title ?? "")),
    updated: chat.updated || 0,
    messages: signal(chat.messages.filter((one) => typeof one?.content === "string").map(revived)),
  }));
}
