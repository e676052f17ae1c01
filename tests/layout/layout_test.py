"""The layout rules hold in this repository, and each of them is able to fail."""
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import layout  # noqa: E402

GOOD = {
    "CMakeLists.txt": "foreach(folder base text app)\nendforeach()\n",
    "src/base/CMakeLists.txt": "concerto_library(base)\n",
    "src/text/CMakeLists.txt": "concerto_library(text DEPENDS base LINK pcre2)\n",
    "src/app/CMakeLists.txt": "target_link_libraries(concerto PRIVATE concerto_text)\n",
    "src/base/a.h": "// For a.\n#pragma once\nnamespace concerto::base {}\n",
    "src/text/b.h": "// For b.\n#pragma once\n#include \"base/a.h\"\nnamespace concerto::text {}\n",
    "src/app/main.cpp": "#include \"text/b.h\"\n#include \"base/a.h\"\n",
    "README.md": "See `src/text/`.\n",
}
BROKEN = {  # rule -> files that break it, and nothing else needs to
    "arrows_point_up": {"src/base/CMakeLists.txt": "concerto_library(base DEPENDS text)\n"},
    "includes_follow_arrows": {"src/base/a.cpp": '#include "text/b.h"\n'},
    "files_are_short": {"src/base/long.cpp": "\n" * 601},
    "no_machine_paths": {"tools/x.sh": "cd /" + "root/x\n"},
    "headers_are_whole": {"src/base/a.h": "// For a.\n#pragma once\nnamespace concerto::text {}\n"},
    "heavy_libraries_stay_in_sources": {"src/base/a.h": "// For a.\n#pragma once\n#include <boost/asio.hpp>\n"},
    "no_junk_drawers": {"src/base/utils.h": "// For all.\n#pragma once\n"},
    "pages_name_what_exists": {"README.md": "See `src/gone.cpp`.\n"},
}


class Repository(unittest.TestCase):
    pass


class EachRuleCanFail(unittest.TestCase):
    pass


def check_repository(rule):
    def test(self):
        self.assertEqual([], rule(layout.Tree(HERE.parents[1])))
    return test


def check_it_fails(rule):
    def test(self):
        for extra, broken in (({}, False), (BROKEN[rule.__name__], True)):
            files = {**GOOD, **extra}
            with tempfile.TemporaryDirectory() as root:
                for name, text in files.items():
                    path = pathlib.Path(root) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
                self.assertEqual(broken, bool(rule(layout.Tree(root, files))), extra)
    return test


for one in layout.RULES:
    setattr(Repository, f"test_{one.__name__}", check_repository(one))
    setattr(EachRuleCanFail, f"test_{one.__name__}", check_it_fails(one))

if __name__ == "__main__":
    unittest.main()
