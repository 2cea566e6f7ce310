"""A database of each driver for runs of workflows in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from compozy.database.database import Database
from tests.harness.databases import fresh, migrated
from tests.harness.runs import Flows, flowing


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database."""
    with fresh(request.param, tmp_path) as settings, migrated(settings) as opened:
        yield opened


@pytest.fixture
async def flows(database: Database) -> AsyncGenerator[Flows, None]:
    """Yield a runner of workflows on this database."""
    async with flowing(database) as running:
        yield running
