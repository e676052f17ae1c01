#!/bin/sh
# Drives the chat page in Chromium: tests/browser/run.sh [PROGRAM]
#
# PROGRAM: the concerto to test (default: the newest of build/*/concerto). Weights: SmolLM2-135M in $CONCERTO_MODELS
# (default ~/.cache/concerto/models). Browser: $CHROMIUM, else chromium from PATH. Ends with 77 when something it needs
# is not there, after saying what.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

skip() {
  echo "browser test skipped: $1" >&2
  exit 77
}

program=${1:-$(ls -t "$root"/build/*/concerto 2>/dev/null | head -n 1)}
[ -n "$program" ] && [ -x "$program" ] || skip "expected a built concerto, found '${program:-none}' (cmake --build build/release)"
CONCERTO_PROGRAM=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
CONCERTO_MODEL=${CONCERTO_MODELS:-$HOME/.cache/concerto/models}/smollm2-135m-instruct-q4_1.gguf
[ -r "$CONCERTO_MODEL" ] || skip "expected $CONCERTO_MODEL (concerto pull smollm2-135m-instruct-q4_1)"
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || true)}
[ -n "$CHROMIUM" ] && [ -x "$CHROMIUM" ] || skip "expected chromium in PATH (apt-get install chromium), found '${CHROMIUM:-none}'"
command -v node >/dev/null && command -v npm >/dev/null || skip "expected node and npm in PATH (apt-get install nodejs npm)"

cd "$here"
stamp=node_modules/.installed
if [ ! -e "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
  npm ci --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error
  touch "$stamp"
fi
export CONCERTO_PROGRAM CONCERTO_MODEL CHROMIUM
exec node --test chat.test.mjs
