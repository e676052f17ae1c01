// Which words fit an error: the stem of "error.title.*" and "error.hint.*".
const kByCode = {
  network: "network",
  cut: "cut",
  context_length_exceeded: "too_long",
  too_large: "too_long",
  model_not_found: "no_model",
  rate_limit_exceeded: "busy",
  unavailable: "loading",
  out_of_memory: "busy",
  timeout: "timeout",
  upstream_error: "upstream",
};
const kByStatus = { 401: "key", 403: "forbidden", 413: "too_long", 429: "busy", 503: "loading", 504: "timeout" };

export function errorStem({ code, status }) {
  if (kByCode[code]) return kByCode[code];
  if (kByStatus[status]) return kByStatus[status];
  return status >= 400 && status < 500 ? "refused" : "server";
}
