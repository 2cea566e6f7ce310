"""Pairs of databases: rows are moved from the first to the second."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from compozy.database.database import Database
from tests.harness.moves import ready

_DRIVERS = ("sqlite", "postgres")
PAIRS = tuple(product(_DRIVERS, _DRIVERS))
Pair = tuple[Database, Database]


@pytest.fixture(params=PAIRS, ids="-to-".join)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Two databases of the same project."""
    source, target = request.param
    with ready(source, tmp_path / "a") as ours, ready(target, tmp_path / "b") as theirs:
        yield ours, theirs


@pytest.fixture(params=_DRIVERS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """One database."""
    with ready(request.param, tmp_path / "a") as made:
        yield made
