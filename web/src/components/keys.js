// Enter sends, Shift+Enter is a new line. While an input method composes (pinyin, kana), Enter belongs to it; some
// browsers end the composition before they report the key, and mark such a key with code 229.
export function isSendKey(event) {
  return event.key === "Enter" && !event.shiftKey && !event.altKey && !event.isComposing && event.keyCode !== 229;
}
