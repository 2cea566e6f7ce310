"""The number of examples of costly properties: fewer in `make test` than in `make proof`."""

from __future__ import annotations

from hypothesis import settings

_TEST_EXAMPLES = 25


def examples(*, test: int, proof: int) -> int:
    """Return the number for the active profile, see `tests/conftest.py`."""
    return test if int(settings.default.max_examples) <= _TEST_EXAMPLES else proof  # pyright: ignore[reportOptionalMemberAccess]
