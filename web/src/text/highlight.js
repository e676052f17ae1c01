// Colours for code, as virtual nodes. highlight.js gives HTML text; it is never put into the page as such: it is read
// back here (spans of one class, five character references), so whatever else it might hold can only become text.
import { h } from "preact";
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import cpp from "highlight.js/lib/languages/cpp";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import sql from "highlight.js/lib/languages/sql";

const languages = { bash, cpp, javascript, json, python, sql };
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);

// Colouring is some 1 ms per 10 KB, done again for each part of a stream.
const kMaxLength = 60_000;

const references = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'", "&amp;": "&" };
const unescaped = (text) => text.replace(/&(?:lt|gt|quot|#x27|amp);/g, (one) => references[one]);

export function nodesOfHtml(html) {
  const stack = [{ children: [] }];
  for (const [whole, name] of html.matchAll(/<span class="([\w\- ]*)">|<\/span>|[^<]+|</g)) {
    const top = stack[stack.length - 1];
    if (name !== undefined) {
      stack.push({ name, children: [] });
    } else if (whole === "</span>" && stack.length > 1) {
      stack.pop();
      stack[stack.length - 1].children.push(h("span", { class: top.name }, top.children));
    } else {
      top.children.push(unescaped(whole));
    }
  }
  while (stack.length > 1) {
    const top = stack.pop();
    stack[stack.length - 1].children.push(h("span", { class: top.name }, top.children));
  }
  return stack[0].children;
}

// The last few results: while a long answer streams, all its blocks but the last stay the same.
const recent = new Map();
const kRecent = 64;

export function highlight(text, language) {
  if (!hljs.getLanguage(language) || text.length > kMaxLength) return text;
  const cacheKey = `${language}\n${text}`;
  let nodes = recent.get(cacheKey);
  if (nodes) {
    recent.delete(cacheKey);
  } else {
    nodes = nodesOfHtml(hljs.highlight(text, { language, ignoreIllegals: true }).value);
  }
  recent.set(cacheKey, nodes);
  if (recent.size > kRecent) recent.delete(recent.keys().next().value);
  return nodes;
}
