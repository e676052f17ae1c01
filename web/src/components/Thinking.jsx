// The model's thinking: open while it thinks, folded when the answer begins, unless the user decided otherwise.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../i18n/index.js";
import { Icon } from "./icons.jsx";
import { Markdown } from "./Markdown.jsx";

function useElapsedSeconds(active) {
  const elapsed = useSignal(0);
  useEffect(() => {
    if (!active) return undefined;
    const start = performance.now();
    const timer = setInterval(() => (elapsed.value = Math.floor((performance.now() - start) / 1000)), 500);
    return () => clearInterval(timer);
  }, [active]);
  return elapsed.value;
}

export function Thinking({ text, ms, active }) {
  const chosen = useSignal(null); // null: the user has not touched it
  const elapsed = useElapsedSeconds(active);
  const open = chosen.value ?? active;
  let title = t("thinking.past");
  if (active) title = t("thinking.now", { seconds: elapsed });
  else if (ms !== undefined) title = t("thinking.done", { seconds: (ms / 1000).toFixed(1) });
  return (
    <div class="thinking">
      <button type="button" class="thinking-title" aria-expanded={open} onClick={() => (chosen.value = !open)}>
        <Icon name="chevron" />
        {title}
      </button>
      {open && (
        <div class="thinking-text">
          <Markdown text={text} />
        </div>
      )}
    </div>
  );
}
