import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./components/App.jsx";
import { watchOpenCases } from "./state/cases.js";
import { current, loadChats, save } from "./state/chats.js";
import { loadModels } from "./state/models.js";
import { running } from "./state/session.js";
import { startSettings } from "./state/settings.js";
import "./style/index.css";

startSettings();
loadChats();
loadModels();
watchOpenCases();
effect(() => {
  document.title = current.value?.title.value ? `${current.value.title.value} · Concerto` : "Concerto";
});
// What an answer under way has said so far is kept when the page goes.
addEventListener("pagehide", () => running.value && save(running.value.chat));
render(<App />, document.getElementById("app"));
