// Bundles the page: `node build.mjs OUT [--dev]` writes OUT/{index.html,app.js,app.css,favicon.svg}.
// OUT is emptied first, so that a file which is no longer made is no longer carried either.
import { build } from "esbuild";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const source = join(dirname(fileURLToPath(import.meta.url)), "src");
const [out, mode] = process.argv.slice(2);
if (!out) {
  console.error("usage: node build.mjs OUT [--dev]");
  process.exit(64);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  entryPoints: { app: join(source, "main.jsx") },
  outdir: out,
  bundle: true,
  format: "esm",
  target: ["es2020", "chrome90", "firefox90", "safari15"],
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: mode !== "--dev",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
});
for (const file of ["index.html", "favicon.svg"]) cpSync(join(source, file), join(out, file));
