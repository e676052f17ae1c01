// What the user chose: language, appearance, who answers, the key. Kept in the browser.
import { computed, effect, signal } from "@preact/signals";
import { chooseLanguage, language } from "../i18n/index.js";
import { read, write } from "./storage.js";

export const theme = signal(read("theme", "auto")); // "auto" | "light" | "dark"
export const model = signal(read("model", "concerto"));
export const apiKey = signal(read("key", ""));

const systemDark = signal(false);
const dark = computed(() => theme.value === "dark" || (theme.value !== "light" && systemDark.value));

export function nextTheme() {
  theme.value = { auto: "light", light: "dark", dark: "auto" }[theme.value] ?? "auto";
  write("theme", theme.value);
}

export function chooseModel(id) {
  model.value = id;
  write("model", id);
}

export function switchLanguage() {
  language.value = language.value === "zh" ? "en" : "zh";
  write("language", language.value);
}

export function saveKey(key) {
  apiKey.value = key;
  write("key", key);
}

export function startSettings() {
  language.value = read("language", null) ?? chooseLanguage(navigator.languages);
  const query = matchMedia("(prefers-color-scheme: dark)");
  systemDark.value = query.matches;
  query.addEventListener("change", () => (systemDark.value = query.matches));
  effect(() => {
    document.documentElement.dataset.theme = dark.value ? "dark" : "light";
  });
  effect(() => {
    document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
  });
}
