"""`compozy db` on the command line: output, exit codes, files and pipes, and that documents contain no secrets."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from compozy.database.database import open_database
from compozy.database.jsontext import dump_json
from tests.conftest import RunCli, clean
from tests.harness.databases import settings
from tests.harness.pickles import pickled
from tests.harness.postgres import find_program, new_database
from tests.harness.processes import Commands
from tests.harness.projects import write_project

_CANARY = "sk-canary-0123456789abcdef"
_WORKFLOWS: dict[str, Any] = {
    "two": {"tasks": [{"id": "one", "prompt": "a"}, {"id": "two", "prompt": "b"}]},
    "gate": {"tasks": [{"id": "one", "prompt": "a"}, {"id": "gate", "type": "wait", "wait_for": "go"}]},
}
_PROVIDERS: dict[str, Any] = {
    "providers": [
        {"id": "s", "type": "scripted", "responses": [{"text": "any"}] * 9},
        {"id": "o", "type": "openai", "api_key": "${OPENAI_API_KEY}"},
    ]
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A project with an ended run `done` and a waiting run `waits`, and a backup of its database."""
    folder = tmp_path_factory.mktemp("project")
    (folder / ".env").write_text(f"OPENAI_API_KEY={_CANARY}\nOTHER={_CANARY}\n")
    write_project(folder, _WORKFLOWS, llm=_PROVIDERS)
    commands = Commands(tmp_path_factory.mktemp("commands"))
    with pytest.MonkeyPatch.context() as environ:
        clean(environ)
        assert commands.run(folder, "workflow", "run", "two", "--id", "done").status == 0
        waiting = commands.start(folder, "workflow", "run", "gate", "--id", "waits")
        waiting.until(lambda: "gate waits" in waiting.err)
        waiting.send(signal.SIGTERM)
        waiting.wait()
        assert commands.run(folder, "db", "backup", "../a.db").status == 0
    yield folder, folder.parent / "a.db"
    commands.end()


@pytest.fixture
def project(tmp_path: Path, cli: RunCli, made: tuple[Path, Path]) -> Path:
    """Return a copy of the project, in which `cli` works."""
    return shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)


@pytest.fixture
def exported(project: Path, cli: RunCli, made: tuple[Path, Path]) -> Path:
    """Return the project with an export, `a.json`, and a backup, `a.db`."""
    shutil.copy(made[1], project / "a.db")
    # An export contains the path of its database file.
    assert cli("db", "export", "-o", "a.json").status == 0
    return project


def test_export_import_verify(cli: RunCli, project: Path) -> None:
    done = cli("db", "export", "--output", "a.json")
    assert (done.status, done.out) == (0, "")
    assert done.err == "Exported 2 executions (1 unfinished, imported as paused) to a.json\n"
    assert (project / "a.json").stat().st_mode & 0o777 == 0o600
    verified = cli("db", "verify", "a.json")
    assert verified.out.startswith(
        "a.json is intact: a copy of the project 'demo'\nFrom      sqlite ./data/compozy.db,"
    )
    assert "        2 workflow_states\n" in verified.out
    dry = cli("db", "import", "a.json", "--db-path", "./data/b.db", "--dry-run")
    assert dry.out.startswith("Would import 2 executions of 2 from sqlite ./data/compozy.db\n  2 new\n")
    assert dry.err == "nothing was changed\n"
    assert not (project / "data/b.db").exists()
    assert cli("db", "import", "a.json", "--db-path", "./data/b.db").out == (
        "Imported 2 executions of 2 from sqlite ./data/compozy.db\n  2 new\n"
        "  1 paused: `compozy workflow resume EXECUTION` resumes one\n"
    )
    again = cli("db", "import", "a.json", "--db-path", "./data/b.db", "--format", "json")
    document = json.loads(again.out)
    assert document["executions"] == {
        "new": 0,
        "replaced": 0,
        "there": 2,
        "left": 0,
        "away": 0,
        "paused": 0,
        "unfinished": 0,
    }
    shown = cli("workflow", "get", "waits", "--db-path", "./data/b.db").out
    assert "Status    PAUSED\n" in shown
    assert re.search(r"From      sqlite \./data/compozy\.db, exported 20..-..-..T..:..:..\....Z\n", shown)
    listed = cli("workflow", "list", "--db-path", "./data/b.db").out
    assert re.search(r"  PAUSED +\S+ +\S+ +imported\n", listed)


def test_a_pipe_from_one_database_to_another(cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.exists()
    exported = cli("db", "export")
    assert exported.err == "Exported 2 executions (1 unfinished, imported as paused)\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(exported.out.encode())))
    assert "Imported 2 executions" in cli("db", "import", "-", "--db-path", "./data/b.db").out


def test_a_run_that_was_moved_to_postgresql_ends_there(cli: RunCli, project: Path, commands: Commands) -> None:
    with new_database() as settings:
        section = settings.model_dump(mode="json", exclude_unset=True)
        section = {key: value for key, value in section.items() if key != "password"}
        config = json.loads((project / "compozy.yaml").read_text()) | {"database": section}
        (project / "target.yaml").write_text(json.dumps(config))
        moved = cli("db", "export", "--move", "-o", "m.json")
        assert moved.status == 0
        assert "1 execution left this database and will continue where the document is imported" in moved.err
        assert cli("workflow", "get", "waits").out.count("MOVED") == 1
        assert "Moved to another database, where it continues" in cli("workflow", "get", "waits").out
        imported = cli("--config", "target.yaml", "db", "import", "m.json")
        assert "1 unfinished: they continue when a server or worker starts" in imported.out
        assert cli("--config", "target.yaml", "workflow", "signal", "waits", "go").status == 0
        ended = commands.run(project, "--config", "target.yaml", "workflow", "get", "waits", "--wait")
        assert (ended.status, "SUCCESS" in ended.out) == (0, True), ended.err
        # The lost file is written again. Importing it there again changes nothing.
        assert cli("db", "export", "--move", "--again", "-o", "again.json").status == 0
        assert "2 already here" in cli("--config", "target.yaml", "db", "import", "again.json").out


def test_no_secret_is_in_a_document(cli: RunCli, project: Path) -> None:
    exported = cli("db", "export", "-o", "a.json")
    assert exported.status == 0
    assert _CANARY not in (project / "a.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("export", "--db-path", "./none.db"), 2, "the database ./none.db does not exist yet"),
        (("export", "--again"), 2, "--again requires --move"),
        (("export", "--move", "--move-id", "x"), 2, "--move-id requires --again"),
        (("export", "--status", "odd"), 2, "--status: expected PENDING, RUNNING"),
        (("export", "--since", "odd"), 2, "--since: expected a date such as 2026-01-31"),
        (("export", "-o", "compozy.yaml"), 2, "the file 'compozy.yaml' already exists"),
        (("export", "-o", "no/folder/x.json"), 2, "cannot write 'no/folder/x.json': the folder 'no/folder' does not"),
        (("export", "-o", "/dev/full"), 2, "cannot write '/dev/full': No space left on device"),
        (("backup", "/dev/full", "--force"), 2, "'/dev/full' is not a regular file"),
        (("backup", "data", "--force"), 2, "'data' is not a regular file"),
        (("import", "none.json"), 2, "cannot read 'none.json': No such file or directory"),
        (("import", "data"), 2, "cannot read 'data': Is a directory"),
        (("import", "compozy.yaml"), 5, "compozy.yaml: line 1: not a document of `compozy db export`"),
        (("import", "a.json", "--db-path", ":memory:"), 2, "an in-memory database does not outlive this command"),
        (("import", "a.json"), 2, "the document was exported from this same database, ./data/compozy.db"),
        (("verify", "data/compozy.db"), 5, "line 1: not a document of `compozy db export`"),
        (("backup", "compozy.yaml"), 2, "the file 'compozy.yaml' already exists"),
        (("backup", "data/compozy.db", "--force"), 2, "'data/compozy.db' is the database itself, or a part of it"),
        (("export", "-o", "data/compozy.db", "--force"), 2, "'data/compozy.db' is the database itself"),
        (("export", "-o", "data/compozy.db-wal", "--force"), 2, "'data/compozy.db-wal' is the database itself"),
        (("backup", "-"), 2, "a backup cannot be written to stdout"),
        (("restore", "data/compozy.db", "--force"), 2, "'data/compozy.db' is the database itself"),
        (("prune", "--older-than", "30"), 2, "write the unit: 30d, 12h, 90s"),
        (("prune", "--older-than", "2999-01-01"), 2, "--older-than: 2999-01-01 is in the future"),
        (("prune", "--older-than", "9999d"), 2, "a duration lies between 0 and 366 days"),
        (("restore", "none"), 2, "cannot read 'none'"),
        (("restore", "compozy.yaml"), 4, "'compozy.yaml' is not a SQLite database"),
        (("restore", "a.db"), 2, "the database ./data/compozy.db already contains 2 executions"),
        (("prune", "--older-than", "odd"), 2, "--older-than: expected a date"),
    ],
)
def test_invalid_requests_are_reported(
    cli: RunCli, exported: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = cli("db", *arguments)
    assert words in done.err
    assert done.status == status
    assert "Traceback" not in done.err
    assert not list(exported.glob("**/*.partial"))


def test_a_document_is_read_from_a_pipe(cli: RunCli, project: Path) -> None:
    cli("db", "export", "-o", "a.json")
    os.mkfifo(project / "pipe")
    writer = threading.Thread(target=lambda: (project / "pipe").write_bytes((project / "a.json").read_bytes()))
    writer.start()
    imported = cli("db", "import", "pipe", "--db-path", "./data/new.db")
    writer.join()
    assert imported.out.startswith("Imported 2 executions of 2 from ")


def test_one_file_has_one_owner_whatever_its_path(cli: RunCli, project: Path, commands: Commands) -> None:
    (project / "link.db").symlink_to("data/compozy.db")
    cli("db", "export", "-o", "a.json")
    cli("db", "backup", "a.db")
    running = commands.start(project, "workflow", "run", "gate", "--id", "other")
    running.until(lambda: "gate waits" in running.err)
    for arguments in (("export", "--move", "-o", "m.json"), ("restore", "a.db", "--force"), ("import", "a.json")):
        refused = cli("db", *arguments, "--db-path", "link.db")
        assert (refused.status, "executes runs on" in refused.err) == (4, True), refused.err
    running.send(signal.SIGINT)
    running.wait()
    assert cli("db", "restore", "a.db", "--force", "--db-path", "link.db").status == 0
    assert (project / "link.db").is_symlink()
    assert "other" not in cli("workflow", "list").out


def test_a_newer_document_leaves_no_database_behind(cli: RunCli, project: Path) -> None:
    cli("db", "export", "-o", "a.json")
    first, rest = (project / "a.json").read_text().split("\n", 1)
    header = json.loads(first.removesuffix(",") + "}")["header"] | {"revision": "9999"}
    digest = hashlib.sha256(dump_json(header).encode()).hexdigest()
    opening = dump_json({"header": header, "header_checksum": f"sha256:{digest}"})
    (project / "newer.json").write_text(f"{opening[:-1]},\n{rest}")
    refused = cli("db", "import", "newer.json", "--db-path", "./data/new.db")
    assert refused.status == 5
    assert "newer.json: the document was created by a newer Compozy (revision 9999" in refused.err
    assert not list(project.glob("data/new.db*"))


def test_a_file_used_by_a_server_cannot_be_the_source_of_a_move(cli: RunCli, project: Path, commands: Commands) -> None:
    running = commands.start(project, "workflow", "run", "gate", "--id", "other")
    running.until(lambda: "gate waits" in running.err)
    for arguments in (("export", "--move", "-o", "m.json"), ("restore", "a.db", "--force")):
        cli("db", "backup", "a.db", "--force")
        refused = cli("db", *arguments)
        assert refused.status == 4
        assert "executes runs on" in refused.err
    # Copies, backups and reads are allowed.
    assert cli("db", "export", "-o", "a.json").status == 0
    assert cli("db", "check").status == 0
    assert "MOVED" not in cli("workflow", "list").out


def test_a_backup_into_a_missing_folder_names_it(cli: RunCli, project: Path) -> None:
    done = cli("db", "backup", "no folder/a.db")
    assert done.status == 2
    assert "the folder 'no folder' does not exist\n  create it with `mkdir -p 'no folder'`" in done.err


def test_an_age_that_is_none_is_explained_once(cli: RunCli, project: Path) -> None:
    assert len(cli("db", "prune", "--older-than", "abc").err.splitlines()) == 1


def test_backup_restore_check_prune(cli: RunCli, project: Path) -> None:
    assert cli("db", "backup", "a.db").out.startswith("Backed up to a.db (")
    assert cli("db", "check").out.startswith("Database: driver=sqlite path=./data/compozy.db\n✓ tables: revision")
    assert cli("db", "prune", "--older-than", "1d").out.startswith("./data/compozy.db has 0 executions that ended")
    assert cli("db", "prune", "--older-than", "0s", "--dry-run").out.startswith("./data/compozy.db has 1 execution ")
    assert cli("db", "prune", "--older-than", "0s", "--yes").out == "Deleted 1 execution from ./data/compozy.db\n"
    assert "done" not in cli("workflow", "list").out
    with closing(sqlite3.connect(project / "data/compozy.db")) as connection, connection:
        connection.execute("INSERT INTO sessions VALUES ('a', 'ana', 1, 2), ('b', 'ana', 1, 2)")
    dry = cli("db", "prune", "--older-than", "1d", "--dry-run").out
    assert dry.endswith("Z, 2 expired sessions\n")
    assert (
        cli("db", "prune", "--older-than", "1d", "--yes").out
        == "Deleted 0 executions, 2 expired sessions from ./data/compozy.db\n"
    )
    restored = cli("db", "restore", "a.db", "--force")
    assert restored.out == ("Restored 2 executions from a.db\n  1 unfinished: they continue at the next start\n")
    assert (project / "data/compozy.db.before-restore").exists()
    assert cli("workflow", "get", "done").status == 0
    assert cli("db", "check", "--format", "json").status == 0
    assert cli("db", "restore", "a.db", "--db-path", "./data/fresh.db").status == 0


def test_check_reports_errors_and_exits_with_4(cli: RunCli, project: Path) -> None:
    config = json.loads((project / "compozy.yaml").read_text())
    database = open_database(settings(project / config["database"]["path"]))
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM operation_outputs WHERE workflow_uuid = 'done'")
    database.close()
    checked = cli("db", "check")
    assert checked.status == 4
    assert "✗ every task that ended has its end in the journal: done/one, done/two" in checked.out


def test_a_backup_of_the_other_driver_is_refused_with_a_hint_to_export(
    cli: RunCli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(find_program("pg_dump").parent), prepend=":")
    (project / "x.dump").write_bytes(b"PGDMP" + bytes(20))
    refused = cli("db", "restore", "x.dump")
    assert refused.status == 2
    assert "is not a backup of a SQLite database" in refused.err
    assert "use `compozy db export` and `compozy db import`" in refused.err


def test_a_backup_of_another_project_is_refused(cli: RunCli, project: Path) -> None:
    cli("db", "backup", "a.db")
    config = json.loads((project / "compozy.yaml").read_text()) | {"name": "shop"}
    (project / "compozy.yaml").write_text(json.dumps(config))
    refused = cli("db", "restore", "a.db", "--db-path", "./data/new.db")
    assert refused.status == 2
    assert "'a.db' is a backup of project 'demo', not of 'shop'" in refused.err


def test_a_document_with_a_pickle_is_refused_by_every_command(
    cli: RunCli, project: Path, commands: Commands, tmp_path: Path
) -> None:
    canary = tmp_path / "executed"
    assert cli("db", "export", "--move", "-o", "a.json").status == 0
    lines = (project / "a.json").read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b'"function_name":"one.model.request"' in line)
    row = json.loads(lines[at].lstrip(b",")) | {"serialization": "py_pickle", "output": pickled(canary)}
    lines[at] = (b"," if lines[at].startswith(b",") else b"") + json.dumps(row, separators=(",", ":")).encode() + b"\n"
    digest = hashlib.sha256(b"".join(lines[1:-1])).hexdigest()
    lines[-1] = f'"checksum":"sha256:{digest}"}}\n'.encode()
    (project / "b.json").write_bytes(b"".join(lines))
    for arguments in (("verify", "b.json"), ("import", "b.json", "--db-path", "./data/new.db")):
        refused = cli("db", *arguments)
        assert refused.status == 5
        assert "invalid row of journal.operation_outputs: 'serialization' is 'py_pickle'" in refused.err
    assert not list(project.glob("data/new.db*"))
    # The same row in a database: a backup from another person.
    database = open_database(settings(project / "data/evil.db"))
    assert cli("db", "import", "a.json", "--db-path", "./data/evil.db").status == 0
    with database.write() as connection:
        update = "UPDATE operation_outputs SET serialization = 'py_pickle', output = ?"
        connection.exec_driver_sql(update, (row["output"],))
    database.close()
    checked = cli("db", "check", "--db-path", "./data/evil.db")
    assert checked.status == 4
    assert "\u2717 the journal holds only what Compozy writes: operation_outputs '" in checked.out
    for arguments in (("start", "--port", "0"), ("worker",), ("workflow", "run", "two")):
        started = commands.run(project, *arguments, "--db-path", "./data/evil.db")
        assert started.status == 4
        assert "holds rows that Compozy did not write: operation_outputs 'waits'" in started.err
    assert not canary.exists()
