"""The hint for a missing package contains a command that works in this process's environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from compozy.installation import extra_hint, package_hint
from compozy.model.gguf import MODEL_REQUIREMENT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a virtual environment that this process appears to run in."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin/python"
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", "/nowhere")
    return tmp_path


def test_an_active_environment_is_extended_by_pip(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = prefix / "bin/pip"
    pip.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(pip.parent))

    assert extra_hint("knowledge") == "run `pip install 'compozy[knowledge]'`"
    assert package_hint("lib==1.0") == "run `pip install --no-deps lib==1.0`"


def test_an_environment_that_is_not_active_is_named(prefix: Path) -> None:
    assert extra_hint("redis") == f"run `{prefix}/bin/python -m pip install 'compozy[redis]'`"


def test_a_tool_of_uv_is_extended_by_uv(prefix: Path) -> None:
    (prefix / "uv-receipt.toml").touch()

    assert extra_hint("local") == f"run `uv pip install --python {prefix}/bin/python 'compozy[local]'`"


def test_an_environment_of_pipx_is_extended_by_pipx(prefix: Path) -> None:
    (prefix / "pipx_metadata.json").touch()

    assert package_hint("lib==1.0") == "run `pipx runpip compozy install --no-deps lib==1.0`"


def test_the_one_file_program_names_another_installation(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    assert extra_hint("groq") == (
        "the one-file program cannot be extended; install Compozy with `pip install 'compozy[groq]'` instead"
    )


def test_the_model_is_the_one_that_the_checkout_locks() -> None:
    assert MODEL_REQUIREMENT in (ROOT / "requirements/local-model.in").read_text(encoding="utf-8").splitlines()
