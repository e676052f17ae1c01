// What can go wrong between the page and the server, as one type.
//
// `code` is the server's own code ("rate_limit_exceeded", ...), or one of the page's: "network" (no answer at all),
// "cut" (the stream ended too early), "bad_answer" (not what the API says).

export class ApiError extends Error {
  constructor(code, message, { status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter; // seconds
  }
}

// From the body of an error answer or of an error event: {"error": {message, type, param, code}}.
export function errorFromBody(text, status = 0, retryAfter = 0) {
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch {
    // A proxy's page, for one. The status says enough.
  }
  const code = typeof error.code === "string" ? error.code : `http_${status}`;
  const message = typeof error.message === "string" ? error.message : `HTTP ${status}`;
  return new ApiError(code, message, { status, retryAfter });
}
