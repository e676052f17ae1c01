// Bundles the page: `node build.mjs OUT [--dev]` writes OUT/{index.html,app.js,app.css,favicon.svg,licenses.txt}.
// OUT is emptied first, so that a file which is no longer made is no longer carried either.
import { build } from "esbuild";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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
const { metafile } = await build({
  entryPoints: { app: join(source, "main.jsx") },
  outdir: out,
  bundle: true,
  format: "esm",
  target: ["es2020", "chrome90", "firefox90", "safari15"],
  jsx: "automatic",
  jsxImportSource: "preact",
  minify: mode !== "--dev",
  charset: "utf8",
  legalComments: "none", // licenses.txt has them all
  metafile: true,
  logLevel: "warning",
});
for (const file of ["index.html", "favicon.svg"]) cpSync(join(source, file), join(out, file));
writeFileSync(join(out, "licenses.txt"), licenses(Object.keys(metafile.inputs)));

// The licence of each library that is in the bundle: they ask to be carried along.
function licenses(inputs) {
  const folders = inputs.map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]).filter(Boolean);
  const texts = [...new Set(folders)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    if (!file) throw new Error(`${folder}: expected a licence file, found none`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `The chat page holds these libraries.\n\n${texts.join(`\n${"-".repeat(72)}\n\n`)}`;
}
