"""Combinations of vector stores and databases: checked before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.databases import fresh
from tests.harness.processes import Commands
from tests.harness.projects import write_project
from tests.harness.servers import start_server

MESSAGE = "pgvector provider is incompatible with SQLite driver"
STORES: dict[str, dict[str, Any]] = {
    "qdrant": {"provider": "qdrant", "url": "http://localhost:6333", "dimension": 1536},
    "redis": {"provider": "redis", "url": "redis://localhost:6379"},
    "filesystem": {"provider": "filesystem", "path": "./data/vectors"},
    "pgvector": {"provider": "pgvector", "dimension": 1536},
}


def knowledge(kind: str) -> dict[str, Any]:
    return {"vector_dbs": [{"id": "main", **STORES[kind]}]}


@pytest.mark.parametrize(
    "command", [["start"], ["workflow", "run", "two"], ["config", "validate"], ["knowledge", "list"]]
)
def test_sqlite_with_pgvector_is_refused(tmp_path: Path, cli: RunCli, command: list[str]) -> None:
    write_project(tmp_path, knowledge=knowledge("pgvector"))
    done = cli(*command)
    assert done.status == 5
    assert MESSAGE in done.err
    assert "use qdrant, redis or filesystem" in done.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["qdrant", "redis", "filesystem"])
def test_sqlite_with_a_separate_store_starts(tmp_path: Path, commands: Commands, kind: str) -> None:
    write_project(tmp_path, knowledge=knowledge(kind))
    server = start_server(commands, tmp_path)
    assert server.ask("GET", "/readyz").status == 200
    assert server.command.err == ""


@pytest.mark.parametrize("kind", ["pgvector", None])
def test_postgresql_with_pgvector_and_without_any_starts(tmp_path: Path, commands: Commands, kind: str | None) -> None:
    with fresh("postgres", tmp_path) as database:
        section = {"driver": "postgres", **{k: getattr(database, k) for k in ("host", "port", "user", "dbname")}}
        write_project(tmp_path, database=section, **({"knowledge": knowledge(kind)} if kind else {}))
        server = start_server(commands, tmp_path)
        assert server.ask("GET", "/readyz").status == 200
        assert server.command.err == ""


def test_sqlite_without_any_store_starts_without_a_warning(tmp_path: Path, cli: RunCli) -> None:
    write_project(tmp_path)
    done = cli("workflow", "run", "two")
    assert (done.status, done.err) == (0, "")
