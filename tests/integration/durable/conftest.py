"""A database, and a runtime on it, for runs that are written as functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.migrate import migrate_up


@pytest.fixture(params=["file", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database on a file, and one in memory."""
    path = str(tmp_path / "data" / "runs.db") if request.param == "file" else ":memory:"
    opened = open_database(DatabaseSettings(driver="sqlite", path=path))
    migrate_up(opened)
    yield opened
    opened.close()


@pytest.fixture
def file_settings(tmp_path: Path) -> DatabaseSettings:
    """Settings of a database file that several runtimes use one after the other."""
    return DatabaseSettings(driver="sqlite", path=str(tmp_path / "runs.db"))
