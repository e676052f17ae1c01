"""A virtual environment with exactly requirements.txt, made once under ~/.cache/concerto and used from then on."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"


def enter():
    """Runs this script again under that environment's Python. Returns why it can't, or None once inside."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = pathlib.Path.home() / f".cache/concerto/venv-clients-{key}"
    if os.environ.get("CONCERTO_CLIENTS_VENV") == key:
        return None
    python = folder / "bin/python"
    if not (folder / ".ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        steps = ([sys.executable, "-m", "venv", folder],
                 [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "-r", REQUIREMENTS])
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return f"{' '.join(map(str, step))} failed: {(done.stdout + done.stderr).strip()[-500:]}"
        (folder / ".ready").touch()
    os.environ["CONCERTO_CLIENTS_VENV"] = key
    os.execv(python, [str(python), *sys.argv])
