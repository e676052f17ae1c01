"""The real program for tests: `concerto serve` on a free port, with SmolLM2-135M and a folder of its own."""
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("CONCERTO_PROGRAM") or ROOT / "build/test/concerto")
MODEL = pathlib.Path(os.environ.get("CONCERTO_MODELS") or pathlib.Path.home() / ".cache/concerto/models") \
    / "smollm2-135m-instruct-q4_1.gguf"
ADMIN_KEY = "client-test-admin-key-0123456789"
USER_KEY = "client-test-user-key-0123456789"
READY_S = 60

CONFIG = """
[server]
admin_keys_file = "admin.keys"
{keys}
drain_ms = 0

[[tier]]
name = "tiny"
kind = "local"
model = "{model}"

[[tier]]
name = "people"
kind = "people"

[cascade]
threshold = {threshold}

[store]
path = "concerto.db"
"""


def missing():
    """Why the program can't be started here, or None."""
    if not os.access(PROGRAM, os.X_OK):
        return f"{PROGRAM} is not built (./test build)"
    if not MODEL.exists():
        return f"{MODEL} is not on this machine (concerto pull smollm2-135m-instruct-q4_1)"
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A folder and a process; the process can be killed and started again over the same folder."""

    def __init__(self, keys=False, threshold=0.0, flags=()):
        self.flags = flags
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="concerto-clients-"))
        self.write("admin.keys", ADMIN_KEY + "\n")
        self.write("api.keys", USER_KEY + "\n")
        self.write("concerto.toml", CONFIG.format(
            keys='api_keys_file = "api.keys"' if keys else "", model=MODEL, threshold=threshold))
        self.process = None
        self.port = 0
        self.start()

    def write(self, name, text):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")

    def start(self):
        self.port = free_port()
        self.log = open(self.folder / "log", "ab")
        command = [PROGRAM, "serve", "--config", self.folder / "concerto.toml", "--port", str(self.port), *self.flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + READY_S
        while True:
            try:
                if self.raw("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"expected a ready server within {READY_S} s, found exit {self.process.poll()}:\n{self.output()}")
            time.sleep(0.05)

    def output(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def raw(self, method, path, body=None, headers=None):
        """(status, headers, bytes) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.log.close()

    def close(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
