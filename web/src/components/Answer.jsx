// One answer: who gave it and why, what it thought, what it says, and what can be done with it.
import { t } from "../i18n/index.js";
import { models } from "../state/models.js";
import { regenerate, running } from "../state/session.js";
import { CaseCard } from "./CaseCard.jsx";
import { CopyButton } from "./CopyButton.jsx";
import { ErrorCard } from "./ErrorCard.jsx";
import { Icon } from "./icons.jsx";
import { Markdown } from "./Markdown.jsx";
import { RouteBadge } from "./RouteBadge.jsx";
import { Thinking } from "./Thinking.jsx";

function endNote({ status, finish, content, desk }) {
  if (status === "stopped") return t("message.stopped");
  if (status !== "done") return "";
  if (finish === "length") return t("message.cut_length");
  if (finish === "content_filter") return t("message.filtered");
  return content === "" && !desk ? t("message.empty") : "";
}

function Actions({ chat, message, last }) {
  const { content, asked, desk, error } = message.value;
  const people = models.value.find((one) => one.concerto?.kind === "people");
  const canAskPerson = last && people && !desk && asked !== people.id;
  const busy = running.value !== null;
  return (
    <div class={last ? "actions" : "actions reveal"}>
      {content && <CopyButton text={content} label={t("message.copy")} />}
      {last && !desk && !error && (
        <button type="button" class="quiet regenerate" aria-label={t("message.regenerate")} title={t("message.regenerate")} disabled={busy} onClick={() => regenerate(chat, message)}>
          <Icon name="redo" />
        </button>
      )}
      {canAskPerson && (
        <button type="button" class="quiet text" disabled={busy} onClick={() => regenerate(chat, message, { by: people.id })}>
          <Icon name="person" />
          {t("message.ask_person")}
        </button>
      )}
    </div>
  );
}

export function Answer({ chat, message, last }) {
  const one = message.value;
  const active = one.status === "waiting" || one.status === "streaming";
  const note = endNote(one);
  return (
    <li class="answer" aria-busy={active}>
      <span class="hidden">{t("message.assistant")}</span>
      {one.route && <RouteBadge message={one} models={models.value} />}
      {active && !one.content && !one.reasoning && (
        <p class="waiting">
          <span class="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {!one.route && t("message.waiting")}
        </p>
      )}
      {one.reasoning && <Thinking text={one.reasoning} ms={one.thinkMs} active={active && !one.content} />}
      {one.content && <Markdown text={one.content} />}
      {one.error && <ErrorCard error={one.error} onRetry={last ? () => regenerate(chat, message) : undefined} />}
      {note && <p class="end-note">{note}</p>}
      {one.desk && <CaseCard desk={one.desk} />}
      {!active && <Actions chat={chat} message={message} last={last} />}
    </li>
  );
}
