"""A new database of each driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database
from tests.harness.databases import fresh, migrated


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseSettings]:
    """Yield settings of a new database of each driver."""
    with fresh(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def database(place: DatabaseSettings) -> Iterator[Database]:
    """Yield the database, open and with its tables."""
    with migrated(place) as opened:
        yield opened
