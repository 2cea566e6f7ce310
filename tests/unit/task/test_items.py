"""The items of a collection."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.errors import ItemsError
from compozy.task.items import to_items
from compozy.task.kinds.collection import MAX_ITEMS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ([], []),
        ([1, None, {"a": 2}], [1, None, {"a": 2}]),
        ((1, 2), [1, 2]),
        (None, []),
        (0, []),
        (3, [0, 1, 2]),
        (2.0, [0, 1]),
        ({}, []),
        ({"b": 1, "a": [2]}, [{"key": "b", "value": 1}, {"key": "a", "value": [2]}]),
        ("", []),
        (" \n ", []),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', [{"key": "a", "value": 1}]),
        ("3", [0, 1, 2]),
        ("null", []),
        ('{"a": 1}\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        ('1\n\n "two" \n[3]', [1, "two", [3]]),
        ('"a"\n"b"', ["a", "b"]),
        ('"a"\r\n"b"\r\n', ["a", "b"]),
        ('"a\u2028b"\n"c\u0085d"', ["a\u2028b", "c\u0085d"]),
        ('["half \\ud83d"]', ["half \ufffd"]),
        ('{"a": 1, "a": 2}', [{"key": "a", "value": 2}]),
    ],
)
def test_accepted_items(value: Any, items: list[Any]) -> None:
    assert to_items(value) == items


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "got true"),
        ("true", "got true"),
        (-1, "got -1"),
        (1.5, "got 1.5"),
        ('"text"', "got the text 'text'"),
        ("a, b", "line 1 of it is not JSON (Expecting value): 'a, b'"),
        ("1\nb", "line 2 of it is not JSON (Expecting value): 'b'"),
        ("[1, 2", "line 1 of it is not JSON (Expecting ',' delimiter)"),
        ("[1e999]", "line 1 of it is not JSON (the number 1e999 is too large)"),
        ("1\n[-1e400]", "line 2 of it is not JSON (the number -1e400 is too large)"),
        ("[" + "9" * 5000 + "]", f"the number {'9' * 40}... is too large"),
        ("[" * 600 + "]" * 600, "nested deeper than 100 levels"),
        ("[" * 200_000, "nested too deeply"),
        ("[NaN]", "NaN is not a JSON value"),
        (MAX_ITEMS + 1, f"at most {MAX_ITEMS} items, got {MAX_ITEMS + 1}"),
        ([0] * (MAX_ITEMS + 1), f"at most {MAX_ITEMS} items"),
        ("1\n" * (MAX_ITEMS + 1), f"at most {MAX_ITEMS} items"),
        (10**18, "at most"),
        (float("inf"), "got inf"),
        (float("nan"), "got nan"),
        (object(), "got <object object"),
    ],
)
def test_refused_items(value: Any, told: str) -> None:
    with pytest.raises(ItemsError) as caught:
        to_items(value)
    assert told in caught.value.message


@given(st.lists(JSON, max_size=5))
def test_a_list_and_its_json_are_the_same(items: list[Any]) -> None:
    assert to_items(items) == items
    assert to_items(json.dumps(items)) == items
    # A line that contains nothing else would be parsed as a whole.
    if len(items) > 1:
        assert to_items("\n".join(json.dumps(item) for item in items)) == items


@given(st.text(max_size=30))
def test_any_text_is_items_or_an_error(text: str) -> None:
    with contextlib.suppress(ItemsError):
        assert isinstance(to_items(text), list)
