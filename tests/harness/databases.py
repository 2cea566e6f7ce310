"""Databases for tests: a new file or a new database of a server, opened like the program opens it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.executions import NewExecution
from compozy.database.migrate import migrate_up
from tests.harness.postgres import new_database


def settings(path: Path | str, **more: Any) -> DatabaseSettings:
    """Return `database:` for a SQLite file."""
    return DatabaseSettings.model_validate({"driver": "sqlite", "path": str(path), **more})


@contextlib.contextmanager
def fresh(driver: str, folder: Path, *, migrated: bool = True) -> Generator[DatabaseSettings, None, None]:
    """Provide a new database with its tables to a test: `x.db` in `folder`, or one on the server."""
    if driver == "sqlite":
        path = folder / "x.db"
        if migrated:
            write_tables(path)
        yield settings(path)
        return
    with new_database(migrated=migrated) as made:
        yield made


def write_tables(path: Path) -> None:
    """Write a new SQLite file with all tables at `path`: a copy, since migrations cost 0.3 s of processor time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(load_template())


def _load_tables(database: Database) -> None:
    """Give a database in memory all tables."""
    content = bytearray(load_template())
    # Read and write versions of the file format: 2 needs a write-ahead log, which a database in memory does not have.
    content[18:20] = b"\x01\x01"
    with contextlib.closing(database.engine.raw_connection()) as connection:
        assert connection.driver_connection is not None
        connection.driver_connection.deserialize(bytes(content))


@cache
def load_template() -> bytes:
    """Return the content of a new SQLite file with all tables, also those of the journal."""
    # Imported here, because it imports the engine.
    from compozy.durable.journal import make_journal

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.db")
        with migrated(path) as database:
            make_journal(database)
        return path.read_bytes()


@contextlib.contextmanager
def migrated(place: DatabaseSettings | Path | str, **more: Any) -> Generator[Database, None, None]:
    """Open the database at `place`, a file or database settings, with its tables."""
    database = open_database(place if isinstance(place, DatabaseSettings) else settings(place, **more))
    try:
        if database.settings.is_in_memory:
            _load_tables(database)
        migrate_up(database)
        yield database
    finally:
        database.close()


def journal_table(database: Database, table: str) -> str:
    """Return the name of a journal table for use in SQL."""
    return f"{database.journal_schema}.{table}" if database.journal_schema else table


def new_run(run_id: str, **more: Any) -> NewExecution:
    """Return a new run that is not accepted yet."""
    values: dict[str, Any] = {"workflow_id": "w", "input": {}, "definition": {}, "journal_format": 1, **more}
    return NewExecution(workflow_exec_id=run_id, **values)
