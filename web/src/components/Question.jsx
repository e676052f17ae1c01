import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../i18n/index.js";
import { editAndResend, running } from "../state/session.js";
import { CopyButton } from "./CopyButton.jsx";
import { Icon } from "./icons.jsx";
import { isSendKey } from "./keys.js";

function Editor({ text, onSend, onCancel }) {
  const field = useRef(null);
  useLayoutEffect(() => {
    field.current.focus();
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, []);
  const onKeyDown = (event) => {
    if (event.key === "Escape" && !event.isComposing) {
      event.preventDefault();
      onCancel();
    } else if (isSendKey(event)) {
      event.preventDefault();
      onSend(field.current.value);
    }
  };
  return (
    <div class="editor">
      <textarea ref={field} aria-label={t("message.edit_label")} defaultValue={text} onKeyDown={onKeyDown} />
      <div class="actions">
        <button type="button" class="plain" onClick={onCancel}>
          {t("message.cancel")}
        </button>
        <button type="button" class="primary" onClick={() => onSend(field.current.value)}>
          {t("message.resend")}
        </button>
      </div>
    </div>
  );
}

export function Question({ chat, message }) {
  const editing = useSignal(false);
  const { content } = message.value;
  if (editing.value) {
    const resend = (text) => {
      editing.value = false;
      editAndResend(chat, message, text);
    };
    return (
      <li class="question">
        <Editor text={content} onSend={resend} onCancel={() => (editing.value = false)} />
      </li>
    );
  }
  return (
    <li class="question">
      <span class="hidden">{t("message.you")}</span>
      <div class="bubble">{content}</div>
      <div class="actions reveal">
        <CopyButton text={content} label={t("message.copy")} />
        <button type="button" class="quiet" aria-label={t("message.edit")} title={t("message.edit")} disabled={running.value !== null} onClick={() => (editing.value = true)}>
          <Icon name="edit" />
        </button>
      </div>
    </li>
  );
}
