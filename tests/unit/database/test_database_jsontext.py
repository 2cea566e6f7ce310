"""JSON as text: every value is read back, and its text is always the same."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.database.jsontext import dump_json, load_json

# Text with every character: NUL, surrogate halves, and characters beyond the first plane.
TEXT = st.text(st.characters(codec=None, categories=None))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)


@given(VALUES)
def test_a_value_is_read_back_unchanged(value: Any) -> None:
    text = dump_json(value)
    again = load_json(text)
    assert again == value
    assert dump_json(again) == text
    assert type(again) is type(value)


@given(st.dictionaries(TEXT, SCALARS))
def test_keys_keep_their_order(value: dict[str, Any]) -> None:
    assert list(load_json(dump_json(value))) == list(value)


@given(VALUES)
def test_sqlite_accepts_the_text_as_json_and_returns_it(value: Any) -> None:
    text = dump_json(value)
    with closing(sqlite3.connect(":memory:")) as connection:
        valid, back = connection.execute("SELECT json_valid(?1), ?1", (text,)).fetchone()
    assert valid == 1
    assert back == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None]}, '{"b":1,"a":[true,null]}'),
        ("Grüße 🎈", '"Grüße 🎈"'),
        ("\ud83d", '"\\ud83d"'),
        ("ü\udc80", '"\\u00fc\\udc80"'),
        ("a\0b", '"a\\u0000b"'),
        (2**200, str(2**200)),
        (0.1, "0.1"),
    ],
)
def test_the_form_is_compact_and_readable(value: Any, text: str) -> None:
    assert dump_json(value) == text


def test_a_large_value_is_kept() -> None:
    value = {"text": "ü" * 5_000_000, "list": list(range(100_000))}
    assert load_json(dump_json(value)) == value


def test_a_deep_value_is_kept() -> None:
    value: Any = "x"
    for _ in range(200):
        value = [{"inner": value}]
    assert load_json(dump_json(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [1, {"x": math.nan}]])
def test_a_number_that_json_does_not_have_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json(value)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_a_type_that_json_does_not_have_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        json.loads(dump_json(value))
