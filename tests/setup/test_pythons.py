"""Each supported Python on this machine runs a workflow on SQLite, with its own SQLite library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.projects import write_project

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13")


def _find_python(version: str) -> str | None:
    """Return the path of a Python `3.x`, from PATH or from pyenv."""
    if (sys.version_info.major, sys.version_info.minor) == tuple(map(int, version.split("."))):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"versions/{version}.*/bin/python3"))]
    for candidate in filter(None, candidates):
        # pyenv puts programs in PATH that only report that this version is not selected.
        if subprocess.run([candidate, "-c", ""], capture_output=True, timeout=60, check=False).returncode == 0:
            return str(candidate)
    return None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_workflow_runs_on_sqlite(version: str, tmp_path: Path) -> None:
    python = _find_python(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    if python != sys.executable:
        subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
        python = str(tmp_path / "venv/bin/python")
        subprocess.run([ROOT / "requirements/install.sh", python, "base"], check=True, timeout=300)
    write_project(tmp_path, {"w": {"tasks": [{"id": "a", "prompt": "x"}]}}, responses={"a": {"text": "answer"}})
    # The second process finds the tables that the first one created.
    for number in range(2):
        assert '"text": "answer"' in _compozy(python, tmp_path, "workflow", "run", "w", "--id", f"r{number}")
    assert "✗" not in _compozy(python, tmp_path, "db", "check")
    # The Python of the tests continues with the file, whichever Python created it.
    assert '"text": "answer"' in _compozy(sys.executable, tmp_path, "workflow", "run", "w")


def _compozy(python: str, folder: Path, *arguments: str) -> str:
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "PYTHONSAFEPATH": "1", "NO_COLOR": "1"}
    command = [python, "-c", "from compozy.cli.entry import main; main()", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
