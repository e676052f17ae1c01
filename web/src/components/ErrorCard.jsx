// What went wrong, what to do, the server's own words, and another try. A busy server says how long to wait.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../i18n/index.js";
import { keyAsked } from "../state/models.js";
import { errorStem } from "../text/error_words.js";
import { Icon } from "./icons.jsx";

function useCountdown(from) {
  const left = useSignal(from);
  useEffect(() => {
    if (from <= 0) return undefined;
    const timer = setInterval(() => {
      left.value -= 1;
      if (left.value <= 0) clearInterval(timer);
    }, 1000);
    return () => clearInterval(timer);
  }, []);
  return left.value;
}

export function ErrorCard({ error, onRetry }) {
  const left = useCountdown(Math.min(60, error.retryAfter || 0));
  const stem = errorStem(error);
  const retry = stem === "key" ? () => (keyAsked.value = "needed") : onRetry;
  return (
    <section class="error" role="alert">
      <header>
        <Icon name="alert" />
        <strong>{t(`error.title.${stem}`)}</strong>
      </header>
      <p>{t(`error.hint.${stem}`)}</p>
      {error.message && !["network", "cut"].includes(stem) && (
        <p class="error-details">
          <span class="faint">{t("error.details")}</span> {error.message}
        </p>
      )}
      {retry && (
        <button type="button" class="plain retry" disabled={left > 0} onClick={retry}>
          <Icon name="redo" />
          {left > 0 ? t("error.retry_in", { seconds: left }) : t("error.retry")}
        </button>
      )}
    </section>
  );
}
