import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../i18n/index.js";
import { Answer } from "./Answer.jsx";
import { Icon } from "./icons.jsx";
import { Question } from "./Question.jsx";

const kNearPx = 80; // so near to the end counts as being there

export function Conversation({ chat }) {
  const box = useRef(null);
  const inner = useRef(null);
  const away = useSignal(false); // the user reads further up: then nothing scrolls by itself
  const list = chat.messages.value;

  const toEnd = () => {
    box.current.scrollTop = box.current.scrollHeight;
    away.value = false;
  };
  // A layout effect: it must end with the element, not a moment later.
  useLayoutEffect(() => {
    const grown = new ResizeObserver(() => {
      if (!away.value) box.current.scrollTop = box.current.scrollHeight;
    });
    grown.observe(inner.current);
    return () => grown.disconnect();
  }, []);
  useLayoutEffect(toEnd, [list.length]);

  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    away.value = scrollHeight - scrollTop - clientHeight > kNearPx;
  };
  return (
    <>
      <div class="scroll" ref={box} onScroll={onScroll} tabIndex={0} role="region" aria-label={t("chat.messages")}>
        <ol class="messages" ref={inner}>
          {list.map((message, i) =>
            message.value.role === "user" ? (
              <Question key={message.value.id} chat={chat} message={message} />
            ) : (
              <Answer key={message.value.id} chat={chat} message={message} last={i === list.length - 1} />
            ),
          )}
        </ol>
      </div>
      {away.value && (
        <button type="button" class="to-end" aria-label={t("message.to_bottom")} title={t("message.to_bottom")} onClick={toEnd}>
          <Icon name="down" />
        </button>
      )}
    </>
  );
}
