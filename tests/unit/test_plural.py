"""Nouns in messages agree with their number."""

from __future__ import annotations

import pytest

from compozy.plural import plural


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(1, "run", "1 run"), (0, "run", "0 runs"), (2, "process", "2 processes"), (1, "process", "1 process")],
)
def test_a_noun_agrees_with_its_number(count: int, noun: str, text: str) -> None:
    assert plural(count, noun) == text
