// Waiting for people: asks for the state of each open case until its answer is there.
import { getCase } from "../api/client.js";
import { t } from "../i18n/index.js";
import { announce } from "./announce.js";
import { chats, patch, save } from "./chats.js";
import { apiKey } from "./settings.js";

// A person needs minutes: often at first, then every 15 s. A failure of the network changes nothing about the case.
const kFirstMs = 2000;
const kLongestMs = 15_000;
const kGrowth = 1.2;

const watched = new Set();

export function watchCase(chat, message) {
  const { id } = message.value.desk;
  if (watched.has(id)) return;
  watched.add(id);
  let wait = kFirstMs;
  const over = () => watched.delete(id);
  const look = async () => {
    if (!chats.value.includes(chat) || !chat.messages.value.includes(message)) return over();
    try {
      const found = await getCase(id, apiKey.value);
      if (found.state === "answered") {
        const { answer = "", answered_by: answeredBy = "", answered_ms: answeredMs = null } = found;
        patch(message, { desk: { id, state: "answered", answer: answer ?? "", answeredBy, answeredMs } });
        save(chat);
        announce(t("case.announce"));
        return over();
      }
    } catch (error) {
      if (error.status === 404) {
        patch(message, { desk: { id, state: "gone" } });
        save(chat);
        return over();
      }
    }
    wait = Math.min(kLongestMs, wait * kGrowth);
    setTimeout(look, wait);
  };
  setTimeout(look, wait);
}

// The cases that were open when the page went away.
export function watchOpenCases() {
  for (const chat of chats.value) {
    for (const message of chat.messages.value) {
      if (message.value.desk?.state === "open") watchCase(chat, message);
    }
  }
}
