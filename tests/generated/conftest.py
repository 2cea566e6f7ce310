"""Settings of the tests that read the source."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _trees_stay() -> Iterator[None]:
    """Search for no garbage: millions of nodes of syntax trees stay until the last test."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()
