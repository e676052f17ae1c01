import { useSignal } from "@preact/signals";
import { t } from "../i18n/index.js";
import { announce } from "../state/announce.js";
import { Icon } from "./icons.jsx";

// The clipboard's own interface exists only on https and on localhost, and may be refused; a selection works everywhere.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    // As below.
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

export function CopyButton({ text, label }) {
  const done = useSignal(false);
  const onClick = async () => {
    await copy(text);
    done.value = true;
    announce(t("message.copied"));
    setTimeout(() => (done.value = false), 1500);
  };
  const name = done.value ? t("message.copied") : label;
  return (
    <button type="button" class="quiet copy" aria-label={name} title={name} onClick={onClick}>
      <Icon name={done.value ? "check" : "copy"} />
    </button>
  );
}
