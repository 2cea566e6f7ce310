"""Fixtures of all tests: the command line in this process, and in others."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from tests.harness.processes import Commands, Finished

# What a developer's own environment may hold; tests set what they need.
_FOREIGN = ("DB_", "SERVER_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GROQ_", "COMPOZY_", "NO_COLOR", "RUNTIME_")

RunCli = Callable[..., Finished]
_DRIVERS = frozenset({"sqlite", "postgres"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a forge share the tests out: `--driver=postgres` runs those on PostgreSQL, `--driver=sqlite` all others."""
    parser.addoption("--driver", choices=sorted(_DRIVERS), help="only tests of this kind of database")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that `--driver` does not want."""
    wanted = config.getoption("--driver")
    if wanted is None:
        return
    chosen = [item for item in items if _driver_of(item) == wanted]
    config.hook.pytest_deselected(items=[item for item in items if _driver_of(item) != wanted])
    items[:] = chosen


def _driver_of(item: pytest.Item) -> str:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return "sqlite"
    values = list(item.callspec.params.values())
    return "postgres" if any(value == "postgres" for value in values if isinstance(value, str)) else "sqlite"


@pytest.fixture
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out variables that would change what the program does; put back what it sets."""
    for name in tuple(os.environ):
        if name.startswith(_FOREIGN):
            monkeypatch.delenv(name)
    # Set by --no-color; deleted again by the teardown.
    monkeypatch.setenv("NO_COLOR", "")


@pytest.fixture
def commands(tmp_path_factory: pytest.TempPathFactory, clean_environ: None) -> Iterator[Commands]:
    """Return what starts real processes; none of them outlives the test."""
    started = Commands(tmp_path_factory.mktemp("commands"))
    yield started
    started.end()


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clean_environ: None
) -> Iterator[RunCli]:
    """Return `compozy` in this process, called in the test's folder: `cli("workflow", "list").out`."""
    from compozy.cli.main import run

    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def call(*arguments: str) -> Finished:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["compozy", *arguments])
        status = run(list(arguments))
        captured = capsys.readouterr()
        return Finished(status=status, out=captured.out, err=captured.err)

    yield call
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
