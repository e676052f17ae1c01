import { t } from "../i18n/index.js";
import { modelsError, loadModels } from "../state/models.js";
import { send } from "../state/session.js";
import { ErrorCard } from "./ErrorCard.jsx";

export function Empty() {
  const error = modelsError.value;
  return (
    <div class="empty">
      <img class="empty-mark" src="/favicon.svg" alt="" width="52" height="52" />
      <h2>{t("empty.title")}</h2>
      <p class="empty-line">{t("app.tagline")}</p>
      {error && error.status !== 401 ? (
        <ErrorCard error={error} onRetry={loadModels} />
      ) : (
        <ul class="examples">
          {["empty.example1", "empty.example2", "empty.example3"].map((key) => (
            <li key={key}>
              <button type="button" class="example" onClick={() => send(t(key))}>
                {t(key)}
              </button>
            </li>
          ))}
        </ul>
      )}
      <p class="faint">{t("empty.hint")}</p>
    </div>
  );
}
