import { t } from "../i18n/index.js";
import { highlight } from "../text/highlight.js";
import { CopyButton } from "./CopyButton.jsx";

export function CodeBlock({ text, info }) {
  const code = text.replace(/\n$/, "");
  return (
    <figure class="code">
      <figcaption>
        <span>{info || t("code.plain")}</span>
        <CopyButton text={code} label={t("code.copy")} />
      </figcaption>
      <pre tabIndex={0}>
        <code>{highlight(code, info.toLowerCase())}</code>
      </pre>
    </figure>
  );
}
