// The real program, with a configuration of three tiers: a small model, the scripted upstream, people.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const kReadyMs = 60_000;
export const kAdminKey = "browser-test-admin-key-0123456789";
export const kUserKey = "browser-test-user-key-0123456789";

async function freePort() {
  const probe = createServer();
  await new Promise((done) => probe.listen(0, "127.0.0.1", done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

function writeConfig(folder, { model, upstreamUrl, needsKey }) {
  const secret = (name, text) => {
    writeFileSync(join(folder, name), `${text}\n`, { mode: 0o600 });
    return JSON.stringify(join(folder, name));
  };
  const file = join(folder, "concerto.toml");
  writeFileSync(
    file,
    `[server]
admin_keys_file = ${secret("admin_keys", kAdminKey)}
${needsKey ? `api_keys_file = ${secret("api_keys", kUserKey)}` : ""}
drain_ms = 0

[[tier]]
name = "fast"
kind = "local"
model = ${JSON.stringify(model)}

[[tier]]
name = "scripted"
kind = "upstream"
base_url = ${JSON.stringify(upstreamUrl)}
model = "scripted"

[[tier]]
name = "desk"
kind = "people"

[cascade]
threshold = 0.0     # the small model always counts as confident
window_tokens = 4   # and is asked early, so that its answer is seen to stream

[store]
path = ${JSON.stringify(join(folder, "concerto.db"))}
`,
  );
  return file;
}

// {url, output(), stop()}; throws with the program's own output when it does not become ready.
export async function startConcerto({ program, model, upstreamUrl, needsKey = false }) {
  const folder = mkdtempSync(join(tmpdir(), "concerto-browser-"));
  const config = writeConfig(folder, { model, upstreamUrl, needsKey });
  const port = await freePort();
  const child = spawn(program, ["serve", "--config", config, "--port", String(port)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let exit = null;
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => (output += part));
  const ended = new Promise((done) => child.on("exit", (code, signal) => done((exit = code ?? signal))));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill("SIGTERM");
    const killer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(killer);
    rmSync(folder, { recursive: true, force: true });
  };
  for (const end = Date.now() + kReadyMs; ; ) {
    const ready = await fetch(`${url}/readyz`).then((response) => response.ok, () => false);
    if (ready) return { url, output: () => output, stop };
    if (exit !== null || Date.now() > end) {
      await stop();
      throw new Error(`concerto serve: expected to be ready within ${kReadyMs} ms, found exit ${exit}\n${output}`);
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}
