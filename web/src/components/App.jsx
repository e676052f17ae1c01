import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../i18n/index.js";
import { announcement } from "../state/announce.js";
import { current } from "../state/chats.js";
import { running, stop } from "../state/session.js";
import { storageFull } from "../state/storage.js";
import { Composer } from "./Composer.jsx";
import { Conversation } from "./Conversation.jsx";
import { Empty } from "./Empty.jsx";
import { Header } from "./Header.jsx";
import { KeyDialog } from "./KeyDialog.jsx";
import { Sidebar } from "./Sidebar.jsx";

export function App() {
  const drawer = useSignal(false); // on narrow windows the sidebar is a drawer
  const closeDrawer = () => {
    if (!drawer.value) return;
    drawer.value = false;
    document.getElementById("menu").focus();
  };

  // Esc closes what is in front first; a dialog and an editor take it before it gets here.
  useEffect(() => {
    const onKey = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
      if (document.querySelector("dialog[open]")) return;
      if (drawer.value) closeDrawer();
      else if (running.value) stop();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  const chat = current.value;
  return (
    <div class="app">
      <a class="skip" href="#message">
        {t("nav.skip")}
      </a>
      <Sidebar open={drawer.value} onClose={closeDrawer} />
      <div class="page" inert={drawer.value}>
        <Header onMenu={() => (drawer.value = true)} />
        <main class="main">{chat ? <Conversation key={chat.id} chat={chat} /> : <Empty />}</main>
        <footer class="foot">
          {storageFull.value && <p class="notice">{t("error.storage")}</p>}
          <Composer />
        </footer>
      </div>
      <KeyDialog />
      <div class="hidden" role="status" aria-live="polite">
        {announcement.value}
      </div>
    </div>
  );
}
