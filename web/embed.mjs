// Turns a folder of files into C++: `node embed.mjs DIST OUT.cpp`.
//
// The bytes go in by the assembler's .incbin, so that the file compiles at once whatever its size. Beside each file
// lies its gzip, made without a time stamp: the same sources give the same program.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import { gzipSync } from "node:zlib";

const kTypes = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

const [dist, out] = process.argv.slice(2).map((path) => path && resolve(path));
if (!out) {
  console.error("usage: node embed.mjs DIST OUT.cpp");
  process.exit(64);
}

const names = readdirSync(dist).filter((name) => !name.endsWith(".gz")).sort();
const assets = names.map((name, i) => {
  const type = kTypes[extname(name)];
  if (!type) throw new Error(`${name}: expected one of ${Object.keys(kTypes).join(" ")}, found '${extname(name)}'`);
  const file = join(dist, name);
  const bytes = readFileSync(file);
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  const etag = createHash("sha256").update(bytes).digest("hex").slice(0, 20);
  return { name, type, file, etag, symbol: `concerto_web_${i}` };
});

// The assembler's string stands in one of C++: quoted twice, once for each reader.
const quoted = (text) => JSON.stringify(text);
const incbin = (symbol, file) =>
  [`.globl ${symbol}, ${symbol}_end`, `${symbol}:`, `.incbin ${quoted(file)}`, `${symbol}_end:`, ".byte 0"].map((line) => `    ${quoted(line + "\n")}`);

writeFileSync(
  out,
  `// Made by web/embed.mjs; the files are in ${quoted("dist")} beside this one.
#include "web/assets.h"

asm(".pushsection .rodata\\n"
${assets.flatMap((a) => [...incbin(a.symbol, a.file), ...incbin(`${a.symbol}_gz`, `${a.file}.gz`)]).join("\n")}
    ".popsection\\n");

extern "C" {
${assets.map((a) => `extern const char ${a.symbol}[], ${a.symbol}_end[], ${a.symbol}_gz[], ${a.symbol}_gz_end[];`).join("\n")}
}

namespace concerto::web {
namespace {

std::string_view between(const char* begin, const char* end) { return {begin, static_cast<size_t>(end - begin)}; }

}  // namespace

api::StaticAssets assets() {
  return {
${assets
  .map(
    (a) =>
      `      {${quoted("/" + a.name)}, between(${a.symbol}, ${a.symbol}_end), between(${a.symbol}_gz, ${a.symbol}_gz_end),
       ${quoted(a.type)}, ${quoted(quoted(a.etag))}},`,
  )
  .join("\n")}
  };
}

}  // namespace concerto::web
`,
);
