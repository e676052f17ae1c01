// Which tier answered and why, on one line; behind it the record of the decision.
import { useSignal } from "@preact/signals";
import { t } from "../i18n/index.js";
import { confidenceWords, outcomeWords, reasonWords, roleOf } from "../text/route_words.js";
import { Icon } from "./icons.jsx";

const seconds = (ms) => `${(ms / 1000).toFixed(ms < 9950 ? 2 : 1)} s`;

function Attempts({ attempts }) {
  return (
    <table>
      <caption>{t("details.attempts")}</caption>
      <thead>
        <tr>
          {["tier", "outcome", "confidence", "time"].map((name) => (
            <th key={name} scope="col">
              {t(`details.${name}`)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {attempts.map((attempt, i) => (
          <tr key={i}>
            <td>{attempt.tier}</td>
            <td>{outcomeWords(attempt.outcome, t)}</td>
            <td>{typeof attempt.confidence === "number" ? attempt.confidence.toFixed(2) : "–"}</td>
            <td>{attempt.ms > 0 ? seconds(attempt.ms) : "–"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Details({ route, timings }) {
  const tokens = timings?.predicted_n ?? 0;
  return (
    <div class="route-details">
      {route.attempts?.length > 0 && <Attempts attempts={route.attempts} />}
      {tokens > 0 && <p>{t("details.speed", { tokens, rate: Number(timings.predicted_per_second).toFixed(1) })}</p>}
      {route.model_id && <p class="break">{t("details.model", { id: route.model_id })}</p>}
    </div>
  );
}

export function RouteBadge({ message, models }) {
  const open = useSignal(false);
  const { route, timings } = message;
  const role = roleOf(route.tier, models, route.case);
  const why = reasonWords(route.reason, t, role);
  const confidence = confidenceWords(route, t);
  return (
    <div class="route">
      <button type="button" class={`badge ${role}`} aria-expanded={open.value} title={t("details.show")} onClick={() => (open.value = !open.value)}>
        <span class="badge-dot" aria-hidden="true" />
        <strong>{t(`role.${role}`)}</strong>
        {route.tier && (
          <span class={why || confidence ? "badge-tier more" : "badge-tier"}>
            <span>{route.tier}</span>
          </span>
        )}
        {why && <span class={confidence ? "badge-why more" : "badge-why"}>{why}</span>}
        {confidence && <span class="badge-confidence">{confidence}</span>}
        <Icon name="chevron" />
      </button>
      {open.value && <Details route={route} timings={timings} />}
    </div>
  );
}
