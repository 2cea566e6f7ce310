"""Migrations: up, down and status, and the databases that they refuse to change."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from compozy.database import migrate, migrations, tables
from compozy.database.database import open_database, open_for_reading
from compozy.database.executions import insert_execution
from compozy.database.jsontext import JsonText
from compozy.database.migrate import (
    NO_DATABASE,
    REVISIONS,
    Loss,
    measure_down,
    migrate_down,
    migrate_up,
    read_status,
)
from compozy.database.plaintext import PlainText
from compozy.errors import DatabaseError, UsageError
from compozy.storage import prepare
from tests.harness.databases import migrated, new_run, settings

pytestmark = pytest.mark.usefixtures("real_migrations")

FOLDER = Path(migrations.__file__).parent


def schema_of(path: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 2").fetchall()


def test_the_revisions_are_those_of_every_folder() -> None:
    dialects = [folder for folder in sorted(FOLDER.iterdir()) if (folder / "versions").is_dir()]
    assert dialects
    for folder in dialects:
        texts = {file: file.read_text() for file in sorted((folder / "versions").glob("[0-9]*.py"))}
        found = [re.search(r'^revision = "(.+)"$', text, re.MULTILINE) for text in texts.values()]
        assert tuple(match[1] for match in found if match) == REVISIONS
        before = [re.search(r'^down_revision = (?:"(.+)"|None)$', text, re.MULTILINE) for text in texts.values()]
        assert [match[1] for match in before if match] == [None, *REVISIONS[:-1]]


def test_up_from_nothing_and_up_again(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = open_database(settings(path))
    assert read_status(database) == NO_DATABASE
    assert migrate_up(database) == REVISIONS
    made = schema_of(path)
    assert read_status(database).pending == ()
    assert read_status(database).current == REVISIONS[-1]
    assert migrate_up(database) == ()
    database.close()
    assert schema_of(path) == made


def test_the_tables_are_those_of_the_migrations(tmp_path: Path) -> None:
    with migrated(tmp_path / "x.db") as database, database.read() as connection:
        found = sa.inspect(connection)
        names = set(found.get_table_names()) - {migrate.VERSION_TABLE}
        assert names == set(tables.metadata.tables)
        for name, table in tables.metadata.tables.items():
            columns: list[Any] = list(found.get_columns(name))
            stored = [
                (column["name"], str(column["type"]), column["nullable"], bool(column["primary_key"]))
                for column in columns
            ]
            declared = [(c.name, _stored_type(c.type), bool(c.nullable), c.primary_key) for c in table.columns]
            assert stored == declared, name
            strict = connection.exec_driver_sql(f"SELECT strict FROM pragma_table_list('{name}')").scalar()
            assert strict == 1, name


def _stored_type(kind: Any) -> str:
    if isinstance(kind, sa.BigInteger):
        return "INTEGER"
    assert isinstance(kind, (PlainText, JsonText))
    return "TEXT"


@pytest.mark.parametrize("target", [None, "base"])
def test_down_counts_deleted_rows_and_up_creates_the_same_tables(tmp_path: Path, target: str | None) -> None:
    path = tmp_path / "x.db"
    with migrated(path) as database:
        made = schema_of(path)
        with database.write() as connection:
            insert_execution(connection, new_run("a"), owner=None)
            insert_execution(connection, new_run("b"), owner=None)
        rows = {"execution_events": 2, "workflow_states": 2} if target == "base" else {}
        loss = measure_down(database, target)
        assert loss is not None
        assert loss == Loss(target=target or REVISIONS[-2], rows=loss.rows, journal_rows=0)
        assert {table: count for table, count in loss.rows.items() if count} == rows
        assert loss.total == sum(rows.values())
        migrate_down(database, loss.target)
        if target == "base":
            assert read_status(database) == NO_DATABASE
            assert measure_down(database, None) is None
        assert migrate_up(database) == (REVISIONS if target == "base" else REVISIONS[-1:])
    assert [row for row in schema_of(path) if row[1] != migrate.VERSION_TABLE] == [
        row for row in made if row[1] != migrate.VERSION_TABLE
    ]


@pytest.mark.parametrize("target", [REVISIONS[-1], "0999", "", "x'; DROP TABLE workflow_states"])
def test_down_to_a_revision_that_is_not_below_is_refused(tmp_path: Path, target: str) -> None:
    with migrated(tmp_path / "x.db") as database:
        with pytest.raises(
            UsageError, match=re.escape(f"cannot roll back from {REVISIONS[-1]} to {target!r}")
        ) as caught:
            measure_down(database, target)
        assert caught.value.hint == f"possible: {', '.join(('base', *REVISIONS[:-1]))}"


def test_a_step_down_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    with migrated(path) as database:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE workflow_status (id TEXT)")
        made = schema_of(path)

        def broken(*_: Any) -> None:
            raise OperationalError("DROP", {}, sqlite3.OperationalError("disk I/O error"))

        monkeypatch.setattr(migrate, "_run_alembic", broken)
        with pytest.raises(DatabaseError, match="reports an error"):
            migrate_down(database, "base")
        assert schema_of(path) == made


def refuse(path: Path, message: str) -> None:
    """Open the file in every way, and check that nothing in its folder changes."""
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(DatabaseError, match=message):
        _prepare(path)
    with pytest.raises(DatabaseError, match=message):
        _look(path)
    after = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert {file: data for file, data in after.items() if not file.name.endswith(("-wal", "-shm"))} == before
    assert all(after[file] == b"" for file in after if file.name.endswith("-wal"))


def _prepare(path: Path) -> None:
    database = open_database(settings(path))
    try:
        prepare(database, None)  # pyright: ignore[reportArgumentType] - it is refused before the project is asked
    finally:
        database.close()


def _look(path: Path) -> None:
    database = open_for_reading(settings(path))
    assert database is not None
    try:
        read_status(database)
    finally:
        database.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_database_of_another_program_is_left_unchanged(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE cookies (id TEXT)")
        connection.commit()
    refuse(path, r"belongs to another program \(it contains the table 'cookies'\)")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_database_of_a_newer_compozy_is_left_unchanged(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.db"
    with migrated(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '0777'")
        connection.commit()
    refuse(path, rf"was created by a newer Compozy \(revision 0777; this version supports up to {REVISIONS[-1]}\)")


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 2\0" + bytes(100), b"\0" * 4096])
def test_a_file_that_is_not_a_database_is_left_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    refuse(path, "is not a SQLite database")


@pytest.mark.parametrize("damage", ["truncated", "flipped schema", "flipped page type", "wrong page size"])
def test_a_damaged_file_is_left_unchanged(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.db"
    with migrated(path):
        pass
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        data = data[:1000]
    elif damage == "flipped schema":
        data[100:4096] = bytes(byte ^ 0xFF for byte in data[100:4096])
    elif damage == "flipped page type":
        data[100] = 0x55
    else:
        data[16:18] = struct.pack(">H", 3)
    path.write_bytes(data)
    refuse(path, "is damaged|is not a SQLite database")


def test_damage_in_a_table_is_reported_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with migrated(path) as database, database.write() as connection:
        for number in range(200):
            insert_execution(connection, new_run(f"run-{number}", input={"text": "x" * 500}), owner=None)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'workflow_states'").fetchone()[0]
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    database = open_database(settings(path), location="./x.db")
    with (
        pytest.raises(DatabaseError, match=r"the database \./x\.db is damaged") as caught,
        database.read() as connection,
    ):
        connection.exec_driver_sql("SELECT sum(length(input)) FROM workflow_states").scalar()
    database.close()
    assert "backup" in caught.value.hint
