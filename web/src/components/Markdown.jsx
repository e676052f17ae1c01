import { renderMarkdown } from "../text/markdown.js";
import { CodeBlock } from "./CodeBlock.jsx";

const components = { code: CodeBlock };

export function Markdown({ text }) {
  return <div class="markdown">{renderMarkdown(text, components)}</div>;
}
