import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../i18n/index.js";
import { running, send, stop } from "../state/session.js";
import { Icon } from "./icons.jsx";
import { isSendKey } from "./keys.js";

const draft = signal("");

// Not on touch screens: the keyboard would cover what the user wants to read.
export function focusComposer() {
  if (matchMedia("(pointer: fine)").matches) document.getElementById("message")?.focus();
}

export function Composer() {
  const field = useRef(null);
  const busy = running.value !== null;

  // As high as its text, up to the CSS maximum.
  useLayoutEffect(() => {
    const { style } = field.current;
    style.height = "auto";
    style.height = `${field.current.scrollHeight}px`;
  }, [draft.value]);
  useLayoutEffect(focusComposer, []);

  const submit = (event) => {
    event?.preventDefault();
    if (send(draft.value)) draft.value = "";
  };
  const onKeyDown = (event) => {
    if (!isSendKey(event)) return;
    event.preventDefault();
    submit();
  };
  return (
    <form class="composer" onSubmit={submit}>
      <label class="hidden" for="message">
        {t("composer.label")}
      </label>
      <textarea
        id="message"
        ref={field}
        rows={1}
        enterkeyhint="send"
        placeholder={t("composer.placeholder")}
        value={draft.value}
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      {busy ? (
        <button type="button" class="round stop" id="stop" aria-label={t("composer.stop")} title={t("composer.stop")} onClick={stop}>
          <Icon name="stop" />
        </button>
      ) : (
        <button type="submit" class="round" id="send" aria-label={t("composer.send")} title={t("composer.send")} disabled={draft.value.trim() === ""}>
          <Icon name="send" />
        </button>
      )}
      <p class="composer-hint">
        <span class="only-fine">{t("composer.hint")}</span>
        <span>{t("composer.note")}</span>
      </p>
    </form>
  );
}
