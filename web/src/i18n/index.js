// t(key, values): the words in the language of the moment. A signal: whoever shows words is shown anew on a switch.
import { computed, signal } from "@preact/signals";
import en from "./en.js";
import zh from "./zh.js";

export const languages = { zh, en };

// The first of the browser's languages that the page speaks.
export function chooseLanguage(preferred) {
  const tag = (preferred ?? []).find((one) => /^(?:zh|en)\b/i.test(one)) ?? "en";
  return tag.slice(0, 2).toLowerCase();
}

export const language = signal("en");

export const translator =
  (words) =>
  (key, values = {}) =>
    (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));

const current = computed(() => translator(languages[language.value]));
export const t = (key, values) => current.value(key, values);
