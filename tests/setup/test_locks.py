"""A checkout installs the versions of its locks, whatever was released since."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.setup.packages import locked, pip_environ, write_index, write_wheel

ROOT = Path(__file__).parents[2]
PYENV = Path.home() / ".pyenv/versions"
# The Pythons of the machine, each with its own pip.
OWN = Path(sys.executable).resolve()
PYTHONS = [OWN, *sorted({path.resolve() for path in PYENV.glob("3.1[123].*/bin/python3")} - {OWN})]


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """Locks of a program that requires a package with an extra, and an index with newer releases of both."""

    install: Path
    python: Path
    environ: dict[str, str]

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=120)

    def pip_version(self) -> int:
        """Return the major version of pip."""
        return int(self.run(self.python, "-m", "pip", "--version").stdout.split()[1].partition(".")[0])

    def lock(self) -> Path:
        return self.install.parent / "app.txt"


@pytest.fixture(params=PYTHONS, ids=lambda path: f"{'own' if path == OWN else 'other'}-{path.parts[-3]}")
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    index, folder = tmp_path / "index", tmp_path / "requirements"
    app = write_wheel(index, "app", "1.0", requires=("lib[fast]>=1",))
    lib = write_wheel(index, "lib", "1.0", requires=('speed>=1 ; extra == "fast"',), extras=("fast",))
    speed = write_wheel(index, "speed", "1.0")
    write_wheel(index, "lib", "1.1", requires=('speed>=1 ; extra == "fast"',), extras=("fast",))
    write_wheel(index, "speed", "1.1")
    folder.mkdir()
    for name in ("install.sh", "check.py"):
        shutil.copy(ROOT / "requirements" / name, folder)
    (folder / "app.txt").write_text(locked(app) + locked(lib) + locked(speed), encoding="utf-8")
    subprocess.run([request.param, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    return Checkout(
        install=folder / "install.sh",
        python=tmp_path / "venv/bin/python",
        environ=pip_environ(write_index(index)),
    )


def test_newer_releases_do_not_reach_the_environment(checkout: Checkout) -> None:
    with_resolver = checkout.run(
        *(checkout.python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", checkout.lock())
    )
    done = checkout.run(checkout.install, checkout.python, "app")

    # The reason for the script: with the resolver on, the pip of Debian 12 and of Python 3.12 ignores the lock.
    if checkout.pip_version() < 24:
        assert with_resolver.returncode != 0
        assert "lib[fast]" in with_resolver.stderr
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    listed = checkout.run(checkout.python, "-m", "pip", "list", "--format=freeze").stdout
    assert {"app==1.0", "lib==1.0", "speed==1.0"} <= set(listed.split())


def test_a_lock_that_lacks_a_package_is_an_error(checkout: Checkout) -> None:
    lines = checkout.lock().read_text(encoding="utf-8").splitlines(keepends=True)
    checkout.lock().write_text("".join(line for line in lines if not line.startswith("speed")), encoding="utf-8")

    done = checkout.run(checkout.install, checkout.python, "app")

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        '  lib requires speed>=1; extra == "fast", which is not installed',
        f"The environment of {checkout.python} does not match the locks.",
    ]


def test_a_changed_wheel_is_an_error(checkout: Checkout) -> None:
    lock = checkout.lock()
    lock.write_text(re.sub("sha256:.", "sha256:g", lock.read_text(encoding="utf-8"), count=1), encoding="utf-8")

    done = checkout.run(checkout.install, checkout.python, "app")

    assert done.returncode != 0
    assert "ERROR" in done.stderr


@pytest.mark.parametrize(
    "name",
    ["Makefile", "examples/database/edge-deployment/Dockerfile", "packaging/docker/Dockerfile", ".github/workflows"],
)
def test_every_lock_is_installed_without_the_resolver(name: str) -> None:
    path = ROOT / name
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            if re.search(r"pip.* install .*(-r |--requirement)", line):
                assert "--no-deps" in line, f"{file}: {line}"
