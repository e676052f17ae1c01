// A case at the people's desk: its number while it is open, the person's answer when it is there.
import { language, t } from "../i18n/index.js";
import { CopyButton } from "./CopyButton.jsx";
import { Icon } from "./icons.jsx";
import { Markdown } from "./Markdown.jsx";

function CaseId({ id }) {
  return (
    <span class="case-id">
      {t("case.id", { id })}
      <CopyButton text={id} label={t("message.copy")} />
    </span>
  );
}

export function CaseCard({ desk }) {
  const { id, state, answer, answeredBy, answeredMs } = desk;
  if (state === "answered") {
    const locale = language.value === "zh" ? "zh-CN" : "en";
    const when = answeredMs && new Date(answeredMs).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
    return (
      <section class="case answered">
        <header>
          <Icon name="person" />
          <strong>{answeredBy ? t("case.answered_by", { name: answeredBy }) : t("case.answered")}</strong>
          {when && <time class="faint">{when}</time>}
        </header>
        <Markdown text={answer} />
        <footer>
          <CaseId id={id} />
        </footer>
      </section>
    );
  }
  return (
    <section class="case">
      <header>
        <Icon name="person" />
        <strong>{t(state === "gone" ? "case.gone" : "case.open")}</strong>
        {state === "open" && <span class="pulse" aria-hidden="true" />}
      </header>
      {state === "open" && <p class="faint">{t("case.open_hint")}</p>}
      <footer>
        <CaseId id={id} />
      </footer>
    </section>
  );
}
