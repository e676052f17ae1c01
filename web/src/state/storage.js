// The browser's storage, which may be full, shut off, or hold what an older page wrote. Nothing here throws.
import { signal } from "@preact/signals";

const kPrefix = "concerto.";

// True after a write that failed: the page says so.
export const storageFull = signal(false);

export function read(name, fallback) {
  try {
    const text = localStorage.getItem(kPrefix + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

export function write(name, value) {
  try {
    localStorage.setItem(kPrefix + name, JSON.stringify(value));
    storageFull.value = false;
  } catch {
    storageFull.value = true;
  }
}

export function remove(name) {
  try {
    localStorage.removeItem(kPrefix + name);
  } catch {
    // Then it was not kept in the first place.
  }
}

// Names that begin with `start`.
export function names(start) {
  try {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(kPrefix + start))
      .map((key) => key.slice(kPrefix.length));
  } catch {
    return [];
  }
}
