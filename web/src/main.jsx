import { render } from "preact";
import { App } from "./components/App.jsx";
import { watchOpenCases } from "./state/cases.js";
import { loadChats } from "./state/chats.js";
import { loadModels } from "./state/models.js";
import { startSettings } from "./state/settings.js";
import "./style/index.css";

startSettings();
loadChats();
loadModels();
watchOpenCases();
render(<App />, document.getElementById("app"));
