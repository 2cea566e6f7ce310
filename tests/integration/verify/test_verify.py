"""`compozy verify` as a process on both databases: a sound database, and one that is damaged meanwhile."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compozy.verify.storm import FEWEST_RUNS
from tests.harness.postgres import running_server
from tests.harness.processes import Command, Commands
from tests.harness.projects import write_project
from tests.harness.stores import Store, open_store

_INVARIANTS = {
    "accepted runs are stored",
    "a repeated request starts no second run",
    "every run ends with its result",
    "recorded steps are not repeated",
    "each step has one answer",
    "database, journal and event logs agree",
    "processes end only when they are asked to",
}


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The database of a project with one run."""
    with open_store(request.param, tmp_path) as opened:
        write_project(tmp_path, {"w": {"tasks": [{"id": "a", "with": {"n": 1}}]}}, database=opened.section)
        yield opened


def schemas(store: Store) -> set[str]:
    """Return the scratch schemas, or the scratch folders."""
    if store.section["driver"] == "sqlite":
        return {path.name for path in store.home.glob("data/compozy_verify_*")}
    query = "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%compozy_verify%'"
    return {str(name) for (name,) in store.query(query)}


def test_a_sound_database_has_no_violations(store: Store, commands: Commands) -> None:
    assert commands.run(store.home, "workflow", "run", "w", "--id", "kept").status == 0
    done = commands.run(store.home, "verify", "--seconds", "3", "--format", "json")
    assert done.status == 0, done.out + done.err
    document: dict[str, Any] = json.loads(done.out)
    assert {each["name"] for each in document["invariants"]} == _INVARIANTS
    assert all(each["violations"] == [] for each in document["invariants"])
    assert (document["ok"], document["kept"]) == (True, None)
    assert document["kills"] >= 1
    assert document["runs"] >= FEWEST_RUNS
    assert document["processes"] == (1 if document["driver"] == "sqlite" else 3)
    # The project's own database is as it was, and nothing else remains.
    assert store.query("SELECT workflow_exec_id, status FROM workflow_states") == [("kept", "SUCCESS")]
    assert schemas(store) == set()


def delete_finished(store: Store) -> int:
    """Delete the finished runs of the scratch database, and return their number."""
    delete = "DELETE FROM workflow_states WHERE status = 'SUCCESS'"
    names = [name for name in schemas(store) if not name.startswith("compozy_journal")]
    if not names:
        return 0
    if store.section["driver"] == "sqlite":
        path = store.home / f"data/{names[0]}/scratch.db"
        if not path.exists():
            return 0
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            try:
                return connection.execute(delete).rowcount
            except sqlite3.OperationalError:
                # The tables do not exist yet.
                return 0
    if not store.query(f"SELECT 1 FROM pg_tables WHERE schemaname = '{names[0]}' AND tablename = 'workflow_states'"):
        return 0
    with running_server().connect(store.section["dbname"]) as connection:
        connection.execute(f"SET search_path TO {names[0]}".encode())
        return connection.execute(delete.encode()).rowcount


def until_deleted(store: Store, command: Command) -> None:
    while not delete_finished(store):
        assert command.is_alive, command.out + command.err
        time.sleep(0.05)


def test_a_lost_run_is_found_and_the_scratch_database_is_kept(store: Store, commands: Commands) -> None:
    command = commands.start(store.home, "verify", "--seconds", "3")
    until_deleted(store, command)
    done = command.wait()
    assert done.status == 1, done.out + done.err
    assert "was accepted and is not stored" in done.out or "the journal has no run that the tables lack" in done.out
    assert "The scratch database is kept: " in done.out
    assert schemas(store) != set()


def test_options_that_cannot_work(tmp_path: Path, commands: Commands) -> None:
    write_project(tmp_path, {"w": {"tasks": [{"id": "a", "with": {"n": 1}}]}})
    several = commands.run(tmp_path, "verify", "--processes", "2")
    assert (several.status, "one process executes runs on SQLite" in several.err) == (2, True)
    memory = commands.run(tmp_path, "verify", "--db-path", ":memory:")
    assert (memory.status, "an in-memory database is not durable" in memory.err) == (2, True)
