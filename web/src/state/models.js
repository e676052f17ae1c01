// Who can answer: GET /v1/models, and whether the server wants a key.
import { signal } from "@preact/signals";
import { listModels } from "../api/client.js";
import { apiKey, chooseModel, model } from "./settings.js";

export const models = signal([]);
export const modelsError = signal(null);
// null, or why the key is asked for: "needed" | "wrong".
export const keyAsked = signal(null);

export function askForKey() {
  keyAsked.value = apiKey.value ? "wrong" : "needed";
}

export async function loadModels() {
  try {
    models.value = await listModels(apiKey.value);
    modelsError.value = null;
    const known = models.value.map((one) => one.id);
    if (known.length > 0 && !known.includes(model.value)) {
      chooseModel(known.includes("concerto") ? "concerto" : known[0]);
    }
    return true;
  } catch (error) {
    modelsError.value = error;
    if (error.status === 401) askForKey();
    return false;
  }
}
