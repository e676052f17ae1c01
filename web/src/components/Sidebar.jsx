import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n/index.js";
import { chats, currentId, deleteChat } from "../state/chats.js";
import { keyAsked } from "../state/models.js";
import { running, stop } from "../state/session.js";
import { apiKey } from "../state/settings.js";
import { focusComposer } from "./Composer.jsx";
import { Icon } from "./icons.jsx";

function Row({ chat, onOpen }) {
  const asking = useSignal(false);
  const title = chat.title.value || t("chat.untitled");
  const remove = () => {
    if (!asking.value) {
      asking.value = true;
      return;
    }
    if (running.value?.chat === chat) stop();
    deleteChat(chat);
  };
  return (
    <li class="row">
      <button type="button" class="row-open" aria-current={chat.id === currentId.value ? "page" : undefined} onClick={() => onOpen(chat)}>
        {title}
      </button>
      <button
        type="button"
        class={asking.value ? "row-delete sure" : "row-delete"}
        aria-label={t("chat.delete", { title })}
        onClick={remove}
        onBlur={() => (asking.value = false)}
      >
        {asking.value ? t("chat.delete_sure") : <Icon name="trash" />}
      </button>
    </li>
  );
}

export function Sidebar({ open, onClose }) {
  const close = useRef(null);
  useEffect(() => {
    if (open) close.current.focus();
  }, [open]);
  const show = (chat) => {
    currentId.value = chat ? chat.id : null;
    onClose();
    focusComposer();
  };
  return (
    <>
      {open && <div class="veil" onClick={onClose} />}
      <nav class={open ? "side open" : "side"} aria-label={t("nav.chats")}>
        <div class="brand">
          <img src="/favicon.svg" alt="" width="28" height="28" />
          <h1>Concerto</h1>
          <span class="grow" />
          <button type="button" ref={close} class="quiet only-narrow" aria-label={t("nav.close")} onClick={onClose}>
            <Icon name="close" />
          </button>
        </div>
        <button type="button" class="new" id="new-chat" onClick={() => show(null)}>
          <Icon name="plus" />
          {t("nav.new_chat")}
        </button>
        {chats.value.length === 0 && <p class="faint pad">{t("nav.no_chats")}</p>}
        <ul class="rows">
          {chats.value.map((chat) => (
            <Row key={chat.id} chat={chat} onOpen={show} />
          ))}
        </ul>
        <a class="faint pad licenses" href="/licenses.txt" target="_blank" rel="noopener">
          {t("nav.licenses")}
        </a>
        {apiKey.value && (
          <button type="button" class="quiet text side-key" onClick={() => (keyAsked.value = "needed")}>
            <Icon name="key" />
            {t("settings.key")}
          </button>
        )}
      </nav>
    </>
  );
}
