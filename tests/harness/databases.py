"""Databases for tests: a new file or a new database of a server, opened like the program opens it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
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
        yield settings(folder / "x.db")
        return
    with new_database(migrated=migrated) as made:
        yield made


@contextlib.contextmanager
def migrated(place: DatabaseSettings | Path | str, **more: Any) -> Generator[Database, None, None]:
    """Open the database at `place`, a file or database settings, with its tables."""
    database = open_database(place if isinstance(place, DatabaseSettings) else settings(place, **more))
    try:
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
