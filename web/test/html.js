// Virtual nodes as HTML text, for the tests: calls components, escapes text, and refuses what the page must not make.
const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

export function toHtml(node) {
  if (node === null || node === undefined || typeof node === "boolean") return "";
  if (Array.isArray(node)) return node.map(toHtml).join("");
  if (typeof node !== "object") return escaped(node);
  const { type, props } = node;
  if (typeof type === "function") return toHtml(type(props));
  if ("dangerouslySetInnerHTML" in props) throw new Error(`${type}: HTML as text`);
  const attributes = Object.entries(props)
    .filter(([name, value]) => name !== "children" && value !== undefined)
    .map(([name, value]) => ` ${name}="${escaped(value)}"`)
    .join("");
  return `<${type}${attributes}>${toHtml(props.children)}</${type}>`;
}
