"""`compozy migrate` and `compozy init` on the command line."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from compozy.database.migrate import REVISIONS
from compozy.database.tables import VERSION_TABLE
from tests.conftest import RunCli
from tests.harness.projects import query, write_project

pytestmark = pytest.mark.usefixtures("real_migrations")

# Migrations.


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_migrations_by_hand(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    assert (
        cli("migrate", "status").out
        == f"""\
Database: driver=sqlite path=./data/compozy.db
Current:  base
Latest:   {REVISIONS[-1]}
Pending:  {", ".join(REVISIONS)}
"""
    )
    assert not (tmp_path / "data").exists()
    assert cli("migrate", "up").out == "".join(f"applied {name} to ./data/compozy.db\n" for name in REVISIONS)
    assert cli("migrate", "up").out == snapshot("./data/compozy.db is up to date\n")
    assert (
        cli("migrate", "status").out
        == f"""\
Database: driver=sqlite path=./data/compozy.db
Current:  {REVISIONS[-1]}
Latest:   {REVISIONS[-1]}
Pending:  none
"""
    )
    assert json.loads(cli("migrate", "status", "--format", "json").out) == {
        "database": "./data/compozy.db",
        "driver": "sqlite",
        "current": REVISIONS[-1],
        "latest": REVISIONS[-1],
        "pending": [],
    }
    down = cli("migrate", "down")
    assert (down.status, down.out) == (0, f"./data/compozy.db is at {REVISIONS[-2]}\n")
    down = cli("migrate", "down", "--to", "base")
    assert (down.status, down.out) == (0, "./data/compozy.db is at base\n")
    assert "deletes 0 rows of workflow_states\ndeletes 0 rows of task_states\n" in down.err
    again = cli("migrate", "down")
    assert (again.status, again.out) == (0, snapshot("./data/compozy.db has no migration to roll back\n"))
    assert cli("workflow", "run", "two").status == 0


@pytest.mark.parametrize("said", ["y\n", "YES\n", "--yes"])
def test_down_deletes_the_tables_that_it_names(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    write_project(tmp_path)
    cli("workflow", "run", "two")
    answer(monkeypatch, said)
    done = cli("migrate", "down", "--to", "base", *(("--yes",) if said == "--yes" else ()))
    assert (done.status, done.out) == (0, "./data/compozy.db is at base\n")
    assert "deletes 1 row of workflow_states\ndeletes 2 rows of task_states\n" in done.err
    assert "deletes 6 rows of execution_events\n" in done.err
    assert "\ndeletes the journal (" in done.err
    assert query(tmp_path, "SELECT name FROM sqlite_master WHERE name LIKE 'workflow%'") == []
    assert cli("workflow", "run", "two").status == 0


@pytest.mark.parametrize("said", ["", "n\n", "\n", "yy\n"])
def test_down_without_a_yes_changes_nothing(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    write_project(tmp_path)
    cli("workflow", "run", "two", "--id", "it")
    answer(monkeypatch, said)
    done = cli("migrate", "down", "--to", "base")
    assert (done.status, done.out) == (2, "")
    assert "Error: nothing was changed\n  answer y or pass --yes\n" in done.err
    assert cli("workflow", "get", "it").status == 0


def test_down_to_a_revision_that_is_not_below(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    cli("migrate", "up")
    done = cli("migrate", "down", "--to", "0009")
    assert (done.status, done.err) == (
        2,
        f"Error: cannot roll back from {REVISIONS[-1]} to '0009'\n  possible: {', '.join(('base', *REVISIONS[:-1]))}\n",
    )
    assert cli("migrate", "down", "--to", "base").status == 0


def test_without_automatic_migration(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, database={"driver": "sqlite", "path": "x.db", "auto_migrate": False})
    done = cli("workflow", "run", "two")
    assert (done.status, done.err) == (
        4,
        f"""\
Error: the database ./x.db has {len(REVISIONS)} pending migrations and database.auto_migrate is off
  run `compozy migrate up`
""",
    )
    assert cli("migrate", "up").status == 0
    assert cli("workflow", "run", "two").status == 0


def test_a_database_that_cannot_be_read_is_closed(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, database={"driver": "sqlite", "path": "x.db"})
    cli("migrate", "up")
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0777'")
    assert "was created by a newer Compozy" in cli("workflow", "list").err
    assert tmp_path / "x.db" not in [link.resolve() for link in Path("/proc/self/fd").iterdir()]


# A new project.


def test_a_new_project_runs(cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = cli("init", "fresh one", "--name", "Größe: 1 # no comment")
    assert (done.status, done.err) == (0, "")
    assert done.out == snapshot("""\
created fresh one/compozy.yaml
created fresh one/workflows/hello.yaml
created fresh one/.env.example
created fresh one/.gitignore
created fresh one/README.md
created fresh one/.compozy/compozy.schema.json
created fresh one/.compozy/workflow.schema.json
created fresh one/.compozy/agent.schema.json
created fresh one/.compozy/task.schema.json
created fresh one/.compozy/tool.schema.json
created fresh one/.compozy/mcp.schema.json
created fresh one/.compozy/memory.schema.json
created fresh one/.compozy/schema.schema.json
created fresh one/.compozy/test.schema.json

Next:
  cd fresh one
  compozy workflow run hello
""")
    folder = tmp_path / "fresh one"
    file = folder / "compozy.yaml"
    text = file.read_text()
    local = "    - id: local\n      type: local\n"
    assert local in text
    scripted = "    - id: local\n      type: scripted\n      responses: [{text: Hello}, {text: Hi}]\n"
    file.write_text(text.replace(local, scripted))
    monkeypatch.chdir(folder)
    ran = cli("workflow", "run", "hello", "--input", '{"name": "Ada"}')
    assert (ran.status, ran.out.splitlines()[-1]) == (0, 'Result: {"greeting": "Hello", "reply": "Hi"}')
    assert json.loads(cli("config", "show", "--format", "json").out) is not None
    again = cli("init", "--name", "other")
    assert (again.status, again.out) == (2, "")
    assert "already has" in again.err
    assert file.read_text() != text


@pytest.mark.parametrize("link", ["compozy.yaml", "workflows", ".compozy"])
def test_a_new_project_is_not_written_through_links(cli: RunCli, tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = elsewhere / "compozy.yaml" if link == "compozy.yaml" else elsewhere
    if link == "compozy.yaml":
        target.write_text("precious")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / link).symlink_to(target)
    done = cli("init", "p", "--force")
    assert (done.status, done.out) == (2, "")
    assert f"p/{link} is a link; nothing was written" in done.err
    assert [file.name for file in (tmp_path / "p").iterdir()] == [link]
    assert [file.read_text() for file in elsewhere.iterdir()] == (["precious"] if link == "compozy.yaml" else [])


def test_the_number_of_concurrent_runs_is_shown(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    shown = json.loads(cli("config", "show", "--sources", "--format", "json").out)["settings"]
    assert shown["runtime.max_concurrent_workflows"] == {"value": 10, "source": "default"}
