"""Every command prints its result as JSON with `--format json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compozy.cli.main import command_tree
from compozy.installation import REPOSITORY_URL
from tests.conftest import RunCli
from tests.harness.projects import write_project

# Reasons why a command has no `--format`.
_OTHERS = {
    "start": "it runs until it is stopped; its log is JSON with --log-format json",
    "dev": "it runs until it is stopped; its log is JSON with --log-format json",
    "worker": "it runs until it is stopped; its log is JSON with --log-format json",
    "ui": "it opens a browser",
    "schema": "its result is always JSON",
    "completion": "its result is a script",
    "memory export": "its result is always JSON",
    "mcp serve": "its output is the protocol",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, a project."""
    monkeypatch.chdir(write_project(tmp_path))
    return tmp_path


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), command


def test_every_command_prints_json() -> None:
    without: list[str] = []
    for path, command in _commands(command_tree()):
        formats = [option for option in command.params if "--format" in option.opts]
        if not formats or "json" not in formats[0].default.__class__.__members__:
            without.append(path)
    assert without == list(_OTHERS)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (["version"], {"version"}),
        (["init", "shop"], {"created", "refreshed"}),
        (["migrate", "up"], {"database", "driver", "applied"}),
        (["migrate", "down", "--yes"], {"database", "driver", "current"}),
        (["db", "backup", "x.backup"], {"file", "bytes"}),
        (
            ["db", "prune", "--older-than", "1d"],
            {"database", "before", "executions", "deleted", "webhook_deliveries", "conversations", "sessions"},
        ),
        (["db", "export", "-o", "x.json"], {"file", "counts", "unfinished", "move_id"}),
        (["workflow", "graph", "two"], {"id", "mermaid", "text", "ascii"}),
    ],
)
def test_results_are_documents(cli: RunCli, command: list[str], keys: set[str]) -> None:
    cli("workflow", "run", "two")
    done = cli(*command, "--format", "json")
    assert (done.status, set(json.loads(done.out))) == (0, keys)


@pytest.mark.usefixtures("project")
def test_a_restore_is_a_document(cli: RunCli, tmp_path: Path) -> None:
    cli("workflow", "run", "two")
    cli("db", "backup", "x.backup")
    restored = cli("db", "restore", "x.backup", "--force", "--format", "json")
    assert json.loads(restored.out) == {
        "file": "x.backup",
        "executions": 1,
        "unfinished": 0,
        "former": str(tmp_path / "data/compozy.db.before-restore"),
    }


def test_the_address_of_the_documentation_is_that_of_the_website(cli: RunCli) -> None:
    text = (Path(__file__).parents[3] / "docs/lib/repository.mjs").read_text(encoding="utf-8")
    named = re.search(r"REPOSITORY = '([^']+)'", text)
    assert named is not None
    assert named[1] == REPOSITORY_URL
    assert f"Docs: {REPOSITORY_URL}/" in cli("--help").out


def test_init_refreshes_the_schemas_of_a_project(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("init", str(tmp_path / "shop")).status == 0
    monkeypatch.chdir(tmp_path / "shop")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    project = Path("compozy.yaml")
    project.write_text(project.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    schema = Path(".compozy/compozy.schema.json")
    schema.write_text("{}", encoding="utf-8")
    Path("README.md").unlink()
    again = cli("init")
    assert again.status == 0
    assert {line.split()[0] for line in again.out.splitlines()} == {"refreshed"}
    assert schema.read_bytes() == before[schema]
    assert project.read_text(encoding="utf-8").endswith("# mine\n")
    assert not Path("README.md").exists()
