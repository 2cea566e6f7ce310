"""A database, and a runtime on it, for runs that are written as functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from tests.harness.databases import fresh, migrated


@pytest.fixture(params=["file", "memory", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database on a file, one in memory, and one of a server."""
    if request.param == "memory":
        with migrated(":memory:") as opened:
            yield opened
        return
    driver = "sqlite" if request.param == "file" else "postgres"
    with fresh(driver, tmp_path) as settings, migrated(settings) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseSettings]:
    """Settings of a database that several runtimes use, concurrently or one after the other."""
    with fresh(request.param, tmp_path) as settings:
        yield settings
