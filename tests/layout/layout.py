"""The rules of how the tree is laid out, each a function from a source tree to a list of what breaks it.

A tree is a folder and the names of its tracked files; layout_test.py runs each rule on the repository, and on a small
tree that breaks it.
"""
import pathlib
import re
import subprocess

MAX_LINES = 600
SOURCE = (".cpp", ".h", ".rs", ".js", ".jsx", ".mjs", ".css", ".py", ".sh")
# Paths that exist on the machine of whoever wrote the file only.
MACHINE_PATH = re.compile(r"(?<![\w.}>~-])/(?:work|farm|root|home/\w+|Users/\w+|tmp/bash_jobs[\w.]*)/")
HEAVY = re.compile(r'#include\s*[<"](boost/|nlohmann/|spdlog/|CLI/|toml\+\+/|curl/|openssl/|sqlite3)')
INCLUDE = re.compile(r'^\s*#include\s*"([a-z_0-9]+)/([^"]+)"', re.M)
NAMED_PATH = re.compile(r"`\.{0,2}/?((?:src|tests|tools|docs|rust|web|cmake|\.ci)/[\w./-]+)`")


class Tree:
    def __init__(self, root, names=None):
        self.root = pathlib.Path(root)
        if names is None:
            out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                                 check=True, capture_output=True).stdout
            names = [n for n in out.decode().split("\0") if n and (self.root / n).is_file()]
        self.names = sorted(names)

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    def under(self, folder, *endings):
        return [n for n in self.names if n.startswith(folder) and n.endswith(endings or SOURCE)]


def order(tree):
    """The folders of src/ in the order of design, as the top CMakeLists.txt adds them."""
    found = re.search(r"foreach\(folder ([\w ]+)\)", tree.text("CMakeLists.txt"))
    return found.group(1).split()


def arrows(tree):
    """folder -> the folders it may include: its DEPENDS in CMake, theirs, and itself."""
    direct = {}
    for folder in order(tree):
        name = f"src/{folder}/CMakeLists.txt"
        text = tree.text(name) if name in tree.names else ""
        depends = re.search(r"concerto_library\(\w+ DEPENDS ([\w\s]+?)(?: LINK|\s*\))", text)
        linked = re.findall(r"\bconcerto_([a-z]+)\b(?!\()", text.split("target_link_libraries", 1)[-1]) \
            if "target_link_libraries" in text else []
        direct[folder] = [d for d in (depends.group(1).split() if depends else []) + linked if d in order(tree)]
    reach = {}
    for folder in order(tree):
        reach[folder] = {folder}.union(*(reach.get(d, set()) for d in direct[folder]))
    return direct, reach


def arrows_point_up(tree):
    names = order(tree)
    return [f"src/{f}/CMakeLists.txt: DEPENDS {d}, which is not above {f}"
            for f, depends in arrows(tree)[0].items() for d in depends if d != f and names.index(d) >= names.index(f)]


def includes_follow_arrows(tree):
    _, reach = arrows(tree)
    out = []
    for name in tree.under("src/", ".h", ".cpp"):
        folder = name.split("/")[1]
        for other, rest in INCLUDE.findall(tree.text(name)):
            if other in reach and other not in reach.get(folder, set()):
                out.append(f"{name}: includes {other}/{rest}, but src/{folder}/CMakeLists.txt has no arrow to {other}")
    return out


def files_are_short(tree):
    out = []
    for name in tree.names:
        if name.startswith(("src/", "web/", "rust/", "tests/", "tools/")) and name.endswith(SOURCE) or "/" not in name:
            lines = tree.text(name).count("\n")
            if lines > MAX_LINES:
                out.append(f"{name}: {lines} lines, at most {MAX_LINES}: split it by idea")
    return out


def no_machine_paths(tree):
    out = []
    for name in tree.names:
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if found := MACHINE_PATH.search(line):
                out.append(f"{name}:{number}: {found.group(0)}… is a path of one machine")
    return out


def headers_are_whole(tree):
    """A header opens with what it is for, is included once, and lives in the namespace of its folder."""
    out = []
    for name in tree.under("src/", ".h"):
        text = tree.text(name)
        if not text.startswith("//"):
            out.append(f"{name}: expected a comment that says what it is for on line 1")
        if "#pragma once" not in text:
            out.append(f"{name}: expected #pragma once")
        folder = name.split("/")[1]
        if "namespace" in text and not re.search(rf"namespace concerto::{folder}\b", text):
            out.append(f"{name}: expected namespace concerto::{folder}")
    return out


def heavy_libraries_stay_in_sources(tree):
    """Templates of these cost seconds in each file that sees them. Headers for the .cpp files of one folder may."""
    out = []
    for name in tree.under("src/", ".h"):
        if not HEAVY.search(tree.text(name)):
            continue
        folder, base = name.split("/")[1], "/".join(name.split("/")[1:])
        users = [n for n in tree.under("src/", ".h", ".cpp")
                 if f'"{base}"' in tree.text(n) and n.split("/")[1] != folder]
        out += [f"{name}: holds a heavy library and is included outside its folder, by {u}" for u in users]
    return out


def no_junk_drawers(tree):
    return [f"{n}: name it after what it does" for n in tree.names
            if re.search(r"(^|/)(utils?|helpers?|misc|common)\.(h|cpp|py|js|rs)$", n)]


def pages_name_what_exists(tree):
    out = []
    for name in [n for n in tree.names if n.endswith(".md")]:
        for path in NAMED_PATH.findall(tree.text(name)):
            if not (tree.root / path.rstrip("/")).exists():
                out.append(f"{name}: names {path}, which does not exist")
    return out


RULES = [arrows_point_up, includes_follow_arrows, files_are_short, no_machine_paths, headers_are_whole,
         heavy_libraries_stay_in_sources, no_junk_drawers, pages_name_what_exists]
