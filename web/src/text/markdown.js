// Markdown of a model, as virtual nodes. No HTML string is made on the way: markdown-it only cuts the text into tokens,
// and the tokens become elements of a fixed list with attributes of a fixed list. What is not on the lists is text.
import MarkdownIt from "markdown-it";
import { h } from "preact";

// Raw HTML stays text; a model's line breaks are kept, since small models write for a terminal.
const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true });
// Only what says that it is an address becomes one: "setup.py" is a file, not a site in Paraguay.
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

const kTags = new Set(
  "p ul ol li blockquote strong em s hr table thead tbody tr th td h1 h2 h3 h4 h5 h6".split(" "),
);
const kSchemes = /^(?:https?:|mailto:)/i;

// The address when it is one that may be followed, else null.
export function safeHref(href) {
  if (!kSchemes.test(href ?? "")) return null;
  try {
    return new URL(href).href;
  } catch {
    return null;
  }
}

function link(href, title, children) {
  const safe = safeHref(href);
  if (!safe) return h("span", null, children);
  return h("a", { href: safe, title: title || undefined, target: "_blank", rel: "noopener noreferrer nofollow" }, children);
}

function element(tag, token, children) {
  if (tag === "a") return link(token.attrGet("href"), token.attrGet("title"), children);
  if (!kTags.has(tag)) return h("span", null, children);
  if (tag === "table") return h("div", { class: "table", tabIndex: 0 }, h("table", null, children));
  // The page has one heading of its own; an answer's headings come below it.
  if (/^h\d$/.test(tag)) return h(`h${Math.min(6, Number(tag[1]) + 2)}`, null, children);
  const props = {};
  if (tag === "ol" && token.attrGet("start")) props.start = Number(token.attrGet("start")) || 1;
  const align = /^text-align:(left|center|right)$/.exec(token.attrGet("style") ?? "");
  if (align) props.class = `align-${align[1]}`;
  return h(tag, props, children);
}

function leaf(token, components) {
  switch (token.type) {
    case "text":
      return token.content;
    case "softbreak":
    case "hardbreak":
      return h("br");
    case "code_inline":
      return h("code", null, token.content);
    case "fence":
    case "code_block":
      return h(components.code, { text: token.content, info: token.info.trim().split(/\s+/)[0] });
    case "hr":
      return h("hr");
    case "image":
      // Not loaded: an address made by a model could carry the conversation to a stranger.
      return link(token.attrGet("src"), "", [`🖼 ${token.content || token.attrGet("src")}`]);
    case "inline":
      return build(token.children, components);
    default:
      return token.content;
  }
}

function build(tokens, components) {
  const stack = [{ children: [] }];
  for (const token of tokens) {
    if (token.nesting === 1) {
      stack.push({ token, children: [] });
      continue;
    }
    const top = stack[stack.length - 1];
    if (token.nesting === 0) {
      top.children.push(leaf(token, components));
      continue;
    }
    stack.pop();
    const { children } = stack[stack.length - 1];
    // In a tight list the paragraphs of the items are not shown as such.
    if (top.token.hidden) children.push(...top.children);
    else children.push(element(top.token.tag, top.token, top.children));
  }
  return stack[0].children;
}

const PlainCode = ({ text }) => h("pre", null, h("code", null, text));

// components.code({text, info}) shows a block of code.
export function renderMarkdown(text, components = { code: PlainCode }) {
  return build(markdown.parse(text, {}), components);
}
