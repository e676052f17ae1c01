import { render } from "preact";

render(<h1>Concerto</h1>, document.getElementById("app"));
