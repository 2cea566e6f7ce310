"""JSON from outside: accepted and refused documents, and limits of their cost."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.jsoninput import find_json, parse_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**308), max_value=10**308)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


@given(JSON, st.booleans())
def test_any_json_is_read(value: Any, lenient: bool) -> None:
    assert parse_json(json.dumps(value), lenient=lenient) == value
    assert parse_json(json.dumps(value).encode(), lenient=lenient) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value"),
        ("NaN", "NaN is not a JSON value"),
        ('{"a": -Infinity}', "-Infinity is not a JSON value"),
        ("1e999", "the number 1e999 is too large"),
        ("[-9085e20999]", "the number -9085e20999 is too large"),
        ("9" * 5000, f"the number {'9' * 40}... is too large"),
        ("-" + "9" * 310, f"the number -{'9' * 39}... is too large"),
        ("2" + "0" * 308, f"the number 2{'0' * 39}... is too large"),
        (nested(101), "nested deeper than 100 levels"),
        (nested(600), "nested deeper than 100 levels"),
        ('{"a":' * 101 + "1" + "}" * 101, "nested deeper than 100 levels"),
        ("[" * 1_000_000, "nested too deeply"),
        ("1 2", "Extra data"),
        (b"\xff", "not UTF-8 text"),
    ],
)
@pytest.mark.parametrize("lenient", [True, False])
def test_documents_that_every_source_refuses(text: str | bytes, problem: str, lenient: bool) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_json(text, lenient=lenient)
    assert str(caught.value) == problem


def test_the_largest_numbers_are_read() -> None:
    assert parse_json("1" + "0" * 308) == 10**308
    assert parse_json("-1.7976931348623157e308") == -1.7976931348623157e308
    assert parse_json("1e-999") == 0.0
    assert parse_json(nested(99)) == json.loads(nested(99))


def test_inputs_are_strict() -> None:
    with pytest.raises(ValueError, match="the key 'a' appears twice in one object"):
        parse_json('[{"b": 1, "a": 1, "a": 1}]')
    assert parse_json(r'"half \ud83d"') == "half \ud83d"


def test_json_of_other_programs_is_read_leniently() -> None:
    assert parse_json('{"a": 1, "a": 2}', lenient=True) == {"a": 2}
    assert parse_json(r'{"\udc00": ["\ud83d", "\ud83d\ude00"]}', lenient=True) == {"\ufffd": ["\ufffd", "\U0001f600"]}
    assert parse_json('\ufeff{"a": 1}', lenient=True) == {"a": 1}
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("nothing", []),
        ('The set {a, b} gives: {"n": 1}', [{"n": 1}]),
        ('[1] and {"a": [2]}, not {"a"', [[1], {"a": [2]}]),
        ('{{"n": 1}}', [{"n": 1}]),
        ('{"x": 1e999} {"x": 1}', [{"x": 1}]),
        (nested(101) + "[2]", [[2]]),
        (r'{"x": "\ud800"}', [{"x": "\ufffd"}]),
        ("a ] b } [", []),
    ],
)
def test_json_within_prose(text: str, values: list[Any]) -> None:
    assert list(find_json(text)) == values


@pytest.mark.parametrize(
    "text", ["[" * 1_000_000, "[1, " * 250_000, '{"a": 1, ' * 100_000, "[1] " * 250_000, "{ " * 500_000]
)
def test_the_search_ends_soon(text: str) -> None:
    before_s = time.process_time()
    for _ in find_json(text):
        pass
    assert time.process_time() - before_s < 2


def test_many_keys_take_no_time() -> None:
    text = "{" + ", ".join(f'"key-{number}": 1' for number in range(200_000)) + ', "key-199999": 1}'
    before_s = time.process_time()
    with pytest.raises(ValueError, match="the key 'key-199999' appears twice"):
        parse_json(text)
    assert time.process_time() - before_s < 2
