// Asks for the API key when the server answered 401, then does again what failed.
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n/index.js";
import { watchOpenCases } from "../state/cases.js";
import { current } from "../state/chats.js";
import { keyAsked, loadModels } from "../state/models.js";
import { regenerate } from "../state/session.js";
import { apiKey, saveKey } from "../state/settings.js";

function retryLast() {
  const chat = current.value;
  const last = chat?.messages.value.at(-1);
  if (last?.value.error?.status === 401) regenerate(chat, last);
}

export function KeyDialog() {
  const dialog = useRef(null);
  const field = useRef(null);
  const asked = keyAsked.value;

  useEffect(() => {
    if (asked === null || dialog.current.open) return;
    dialog.current.showModal();
    field.current.value = "";
  }, [asked]);

  const submit = async (event) => {
    event.preventDefault();
    saveKey(field.current.value.trim());
    dialog.current.close();
    if (await loadModels()) {
      watchOpenCases();
      retryLast();
    }
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="key-title" onClose={() => (keyAsked.value = null)}>
      <form onSubmit={submit}>
        <h2 id="key-title">{t("key.title")}</h2>
        <p class={asked === "wrong" ? "wrong" : "faint"}>{t(asked === "wrong" && apiKey.value ? "key.wrong" : "key.hint")}</p>
        <label for="key">{t("key.field")}</label>
        <input id="key" ref={field} type="password" autocomplete="off" spellcheck={false} required />
        <div class="actions">
          <button type="button" class="plain" onClick={() => dialog.current.close()}>
            {t("key.cancel")}
          </button>
          <button type="submit" class="primary">
            {t("key.save")}
          </button>
        </div>
      </form>
    </dialog>
  );
}
