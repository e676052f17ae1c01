// Which tier answered and why, in people's words.
//
// `models` is the list of GET /v1/models. The first local or upstream tier is "the small model", those behind it are
// "the bigger model". `t` finds words by key; an unknown key comes back as it is.

const kindOf = (models, id) => models.find((model) => model.id === id)?.concerto?.kind ?? "";

// "small" | "big" | "only" | "person" | "unknown"
export function roleOf(tier, models, caseId = null) {
  if (caseId || kindOf(models, tier) === "people") return "person";
  const machines = models.filter((model) => ["local", "upstream"].includes(model.concerto?.kind));
  const place = machines.findIndex((model) => model.id === tier);
  if (place < 0) return "unknown";
  if (machines.length === 1) return "only";
  return place === 0 ? "small" : "big";
}

const plain = (word) => word.replaceAll("_", " ");

function wordsOr(key, t, fallback) {
  const words = t(key);
  return words === key ? fallback : words;
}

// "timeout" of "error:timeout", "context" of "needs:context"; a keyword is shown as it is.
const detailWords = (kind, detail, t) => (kind === "keyword" ? detail : wordsOr(`detail.${detail}`, t, plain(detail)));

function wordsOf(space, text, t) {
  const colon = text.indexOf(":");
  if (colon < 0) return wordsOr(`${space}.${text}`, t, plain(text));
  const kind = text.slice(0, colon);
  const detail = text.slice(colon + 1);
  const key = `${space}.${kind}`;
  const words = t(key, { what: detailWords(kind, detail, t) });
  return words === key ? plain(text) : words;
}

// Decision::reason: "confident", "only_tier", "keyword:合同", ... `role` is that of the tier that answers: a person
// comes after all the models, not after the small one alone.
export function reasonWords(reason, t, role = "") {
  if (!reason) return "";
  if (reason === "low_confidence" && role === "person") return t("reason.low_confidence_person");
  return wordsOf("reason", reason, t);
}

// Attempt::outcome: "answered", "low_confidence", "skipped:keyword", "error:timeout", ...
export function outcomeWords(outcome, t) {
  return wordsOf("outcome", outcome, t);
}

export function confidenceWords(route, t) {
  if (typeof route?.confidence !== "number" || !Number.isFinite(route.confidence)) return "";
  const value = route.confidence.toFixed(2);
  return t(route.calibrated === true ? "confidence.calibrated" : "confidence.uncalibrated", { value });
}
