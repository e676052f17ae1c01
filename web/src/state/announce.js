// What a screen reader is told without the focus moving there: short news, not the stream itself.
import { signal } from "@preact/signals";

export const announcement = signal("");

export function announce(text) {
  announcement.value = "";
  setTimeout(() => (announcement.value = text), 50); // the same news twice must be two changes
}
