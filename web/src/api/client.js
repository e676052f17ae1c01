// Requests to the server that this page came from. Everything else is shut out by the page's policy as well.
import { ApiError, errorFromBody } from "./errors.js";

// Answers with a good status only; throws ApiError otherwise, and AbortError when `signal` says so.
export async function request(path, { key = "", body, signal } = {}) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("network", error.message);
  }
  if (!response.ok) {
    const text = await response.text().catch(() => "");
    throw errorFromBody(text, response.status, Number(response.headers.get("Retry-After")) || 0);
  }
  return response;
}

async function json(path, options) {
  const response = await request(path, options);
  try {
    return await response.json();
  } catch (error) {
    throw new ApiError("bad_answer", `${path}: expected JSON: ${error.message}`, { status: response.status });
  }
}

// [{id, concerto: {kind: "cascade" | "local" | "upstream" | "people", model_id, context}}], the tiers in their order.
export async function listModels(key) {
  const answer = await json("/v1/models", { key });
  return Array.isArray(answer.data) ? answer.data : [];
}

export const getCase = (id, key) => json(`/v1/cases/${encodeURIComponent(id)}`, { key });
