import assert from "node:assert/strict";
import test from "node:test";
import { highlight, nodesOfHtml } from "../src/text/highlight.js";
import { renderMarkdown, safeHref } from "../src/text/markdown.js";
import { toHtml } from "./html.js";

const html = (text) => toHtml(renderMarkdown(text));

const kElements = /<(?!\/?(?:p|ul|ol|li|blockquote|strong|em|s|hr|table|thead|tbody|tr|th|td|h[1-6]|a|br|code|pre|div|span)[ >])/;

const payloads = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg/onload=alert(1)>",
  "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<details open ontoggle=alert(1)>x</details>",
  "<a href='javascript:alert(1)'>x</a>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](java\nscript:alert(1))",
  "[x](&#106;avascript:alert(1))",
  "[x](&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A;alert(1))",
  "[x](\u0001javascript:alert(1))",
  "[x](vbscript:msgbox(1))",
  "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
  "[x](blob:http://localhost/1)",
  "[x](file:///etc/passwd)",
  "[x](//evil.example/a)",
  "[x]: javascript:alert(1)\n\n[x]",
  "<javascript:alert(1)>",
  "![x](javascript:alert(1))",
  "![x](https://evil.example/pixel.png?secret)",
  '[x](https://a.example "\\" onmouseover=alert(1) x=\\"")',
  '```html" onmouseover="alert(1)\n<script>alert(1)</script>\n```',
  "`<script>alert(1)</script>`",
  "| <img src=x onerror=alert(1)> |\n|--|\n| <b onclick=alert(1)>x</b> |",
  "1. <script>alert(1)</script>\n   - [x](javascript:alert(1))",
  "<style>@import url(https://evil.example)</style>",
  "<base href='https://evil.example/'>",
  "<form action='https://evil.example'><input name=x></form>",
  "<math><mtext></mtext><script>alert(1)</script></math>",
];

for (const payload of payloads) {
  test(`is inert: ${JSON.stringify(payload).slice(0, 60)}`, () => {
    const out = html(payload);
    assert.doesNotMatch(out, kElements, out);
    for (const [tag] of out.matchAll(/<[a-z][^>]*>/g)) {
      const names = tag.replace(/"[^"]*"/g, '""');
      assert.doesNotMatch(names, /\s(?:on\w+|src|srcdoc|style|action|formaction|xlink:href)=/i, tag);
      const href = / href="([^"]*)"/.exec(tag);
      if (href) assert.match(href[1], /^(?:https?|mailto):/, tag);
    }
  });
}

test("links leave the page without telling where from", () => {
  assert.equal(
    html("[x](https://a.example/?q=1&r=2)"),
    '<p><a href="https://a.example/?q=1&amp;r=2" target="_blank" rel="noopener noreferrer nofollow">x</a></p>',
  );
});

test("images are links, never loaded", () => {
  const out = html("![plan](https://a.example/plan.png)");
  assert.doesNotMatch(out, /<img/);
  assert.match(out, /<a href="https:\/\/a\.example\/plan\.png"[^>]*>🖼 plan<\/a>/);
});

test("addresses: only http, https and mailto", () => {
  assert.equal(safeHref("https://a.example"), "https://a.example/");
  assert.equal(safeHref("mailto:a@b.example"), "mailto:a@b.example");
  for (const bad of ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "/local", "", null, undefined, "http://["]) {
    assert.equal(safeHref(bad), null, String(bad));
  }
});

test("file names do not become links, addresses do", () => {
  assert.equal(html("see setup.py and README.md"), "<p>see setup.py and README.md</p>");
  assert.match(html("see https://a.example/x"), /<a href="https:\/\/a\.example\/x"/);
});

test("lists, tables, line breaks, emphasis", () => {
  assert.equal(html("- a\n- **b**"), "<ul><li>a</li><li><strong>b</strong></li></ul>");
  assert.equal(html("3. a\n4. b"), '<ol start="3"><li>a</li><li>b</li></ol>');
  assert.equal(html("a\nb"), "<p>a<br></br>b</p>");
  assert.equal(html("# t"), "<h3>t</h3>");
  assert.match(html("|a|b|\n|:-:|--:|\n|1|2|"), /<th class="align-center">a<\/th><th class="align-right">b<\/th>/);
});

test("code keeps every character", () => {
  const code = 'if (a < b && c > "d") { x = \'&lt;\'; } // <span class="hljs-keyword">\n';
  assert.match(html(`\`\`\`\n${code}\`\`\``), /&amp;lt;/);
  for (const language of ["javascript", "cpp", "python", "sql", "json", "bash"]) {
    assert.equal(textOf(highlight(code, language)), code, language);
  }
});

test("colours come as spans of one class", () => {
  assert.match(toHtml(highlight("def f(): return 1", "py")), /^<span class="hljs-keyword">def<\/span> /);
  assert.equal(highlight("x", "klingon"), "x");
});

test("what is no span of a class is text", () => {
  const out = toHtml(nodesOfHtml('<img src=x onerror=alert(1)><span class="a" onclick="x">y</span><span class="b">&lt;z'));
  assert.doesNotMatch(out, /<(?!\/?span)/);
  assert.doesNotMatch(out, /<span[^>]*onclick/);
  assert.match(out, /<span class="b">&lt;z<\/span>$/);
});

function textOf(node) {
  if (Array.isArray(node)) return node.map(textOf).join("");
  return typeof node === "object" ? textOf(node.props.children ?? []) : String(node);
}
