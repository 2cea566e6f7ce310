"""Databases for tests: a fresh file each, opened as the program opens it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.executions import NewExecution
from compozy.database.migrate import migrate_up


def settings(path: Path | str, **more: Any) -> DatabaseSettings:
    """Return `database:` for a SQLite file."""
    return DatabaseSettings.model_validate({"driver": "sqlite", "path": str(path), **more})


@contextlib.contextmanager
def migrated(path: Path | str, **more: Any) -> Generator[Database]:
    """Open the file at `path`, with its tables."""
    database = open_database(settings(path, **more))
    try:
        migrate_up(database)
        yield database
    finally:
        database.close()


def new_run(run_id: str, **more: Any) -> NewExecution:
    """Return a run to be accepted."""
    values: dict[str, Any] = {"workflow_id": "w", "input": {}, "definition": {}, "journal_format": 1, **more}
    return NewExecution(workflow_exec_id=run_id, **values)
