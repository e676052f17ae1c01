#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a build folder, in parallel, only where something changed.

    tools/tidy.py [--build build/test] [--jobs N] [--tests] [FILE ...]      default: all of src/

A file that was clean is remembered in ~/.cache/concerto/tidy under a hash of everything its result depends on: the
file, our headers that it includes, its compile command, .clang-tidy and the version of clang-tidy.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

TIDY = os.environ.get("CLANG_TIDY", "clang-tidy-19")
ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path.home() / ".cache/concerto/tidy"
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.M)


class Sources:
    """Our files: their bytes, and what each includes directly."""

    def __init__(self):
        self.known = {}

    def read(self, path):
        if path not in self.known:
            data = path.read_bytes()
            found = []
            for name in INCLUDE.findall(data):
                for folder in (path.parent, ROOT / "src", ROOT / "tests", ROOT):
                    candidate = folder / name.decode()
                    if candidate.is_file():
                        found.append(candidate.resolve())
                        break
            self.known[path] = (data, found)
        return self.known[path]

    def closure(self, path):
        seen, todo = set(), [path]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += self.read(one)[1]
        return sorted(seen)


def key_of(sources, entry, salt):
    h = hashlib.sha256(salt)
    # Where the tree lies changes nothing that clang-tidy says.
    command = entry.get("command") or " ".join(entry["arguments"])
    h.update(command.replace(str(ROOT), "").encode())
    for path in sources.closure(pathlib.Path(entry["file"]).resolve()):
        data = sources.read(path)[0]
        h.update(f"{path.relative_to(ROOT)} {len(data)}\n".encode())
        h.update(data)
    return h.hexdigest()


def run(build, path):
    done = subprocess.run([TIDY, "-p", str(build), "--quiet", str(path)], capture_output=True, text=True, check=False)
    noise = re.compile(r"^\d+ warnings? (generated|treated)|^Suppressed|^Use -header-filter|^$")
    told = [line for line in (done.stdout + done.stderr).splitlines() if not noise.match(line)]
    return done.returncode, "\n".join(told)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/test")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tests", action="store_true", help="tests/ as well as src/")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    folders = [ROOT / "src"] + ([ROOT / "tests"] if options.tests or options.files else [])
    entries = {}
    for entry in json.loads((options.build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"]).resolve()
        if any(folder in path.parents for folder in folders):  # not what the build writes
            entries[path] = entry
    wanted = {f.resolve() for f in options.files} or entries.keys()
    if unknown := [f for f in wanted if f not in entries]:
        sys.exit(f"{unknown[0]}: not in {options.build}/compile_commands.json")
    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    salt = version + b"".join(p.read_bytes() for p in sorted([ROOT / ".clang-tidy", *ROOT.glob("src/*/.clang-tidy")]))
    sources = Sources()
    keys = {path: key_of(sources, entries[path], salt) for path in wanted}
    CACHE.mkdir(parents=True, exist_ok=True)
    todo = [path for path in sorted(wanted) if not (CACHE / keys[path]).exists()]
    if not todo:
        print(f"{len(keys)} files clean, none changed")
        return
    bad, start, shown = 0, time.monotonic(), 0.0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = {pool.submit(run, options.build, path): path for path in todo}
        for n, job in enumerate(concurrent.futures.as_completed(jobs), 1):
            path, (code, told) = jobs[job], job.result()
            if code == 0:
                (CACHE / keys[path]).touch()
            else:
                bad += 1
                print(f"{path.relative_to(ROOT)}:\n{told}", flush=True)
            now = time.monotonic()
            if now - shown > 10 or n == len(todo):
                shown, spent = now, now - start
                print(f"  clang-tidy: {n} of {len(todo)} files, {n / spent:.1f} files/s, "
                      f"{spent / n * (len(todo) - n):.0f} s left", file=sys.stderr, flush=True)
    print(f"{len(keys)} files, {len(todo)} looked at, {bad} with findings")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
