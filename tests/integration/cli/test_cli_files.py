"""Files that a command reads: each once, so that the command sees one version."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from compozy.config import parse
from tests.conftest import RunCli
from tests.harness.projects import write_project

COMMANDS = [
    ("workflow", "list"),
    ("workflow", "run", "two", "--id", "again"),
    ("workflow", "run", "workflows/two.yaml"),
    ("workflow", "run", "two", "--dry-run"),
    ("workflow", "get", "first"),
    ("workflow", "cancel", "first"),
    ("workflow", "rerun", "first"),
    ("workflow", "graph", "two"),
    ("knowledge", "list"),
    ("config", "show"),
    ("config", "validate"),
    ("db", "check"),
    ("migrate", "status"),
    ("health",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_compozy_yaml_is_read_once(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    write_project(tmp_path)
    assert cli("workflow", "run", "two", "--id", "first").status == 0
    reads: Counter[str] = Counter()
    read = parse._read_limited  # pyright: ignore[reportPrivateUsage] - the one place that reads YAML files

    def counted(path: Path) -> bytes:
        reads[path.name] += 1
        return read(path)

    monkeypatch.setattr(parse, "_read_limited", counted)
    cli(*command)
    assert reads["compozy.yaml"] == 1, reads
