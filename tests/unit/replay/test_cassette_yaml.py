"""Cassettes as text: what is written reads back, and its keys are stable."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compozy.config.nodes import to_value
from compozy.config.parse import parse_yaml
from compozy.replay.cassette import key_of
from compozy.replay.secrets import Secrets
from compozy.replay.yamltext import to_yaml

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "1e3",
        "yes",
        "null",
        "0x1f",
        "a: b",
        "# x",
        "- x",
        " x\ny",
        "x\n",
        "x\n\n",
        "\n",
        "",
        "x \n  y",
        "é\u2028z",
        "\ufeff",
    ]
)
_SCALAR = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | _TEXT
_JSON = st.recursive(_SCALAR, lambda below: st.lists(below, max_size=4) | st.dictionaries(_TEXT, below, max_size=4))


@given(_JSON)
def test_every_json_value_reads_back(value: Any) -> None:
    parsed = parse_yaml(to_yaml({"value": value}).encode(), file="x.yaml")
    assert not parsed.faults
    assert parsed.node is not None
    assert to_value(parsed.node) == {"value": value}


def test_a_text_of_several_lines_is_written_as_lines() -> None:
    assert to_yaml({"prompt": "Hello\n\n  world"}) == "prompt: |-\n  Hello\n\n    world\n"


def test_the_order_of_keys_is_not_part_of_a_key() -> None:
    assert key_of("tool", {"a": 1, "b": {"c": 2, "d": 3}}) == key_of("tool", {"b": {"d": 3, "c": 2}, "a": 1})
    assert key_of("tool", {"a": 1}) != key_of("model", {"a": 1})
    assert key_of("tool", {"a": [1, 2]}) != key_of("tool", {"a": [2, 1]})


@pytest.mark.parametrize(
    "text",
    [
        "Bearer sk-canary/1+2",
        '{"key": "sk-canary/1+2"}',
        "https://x.example/?key=sk-canary%2F1%2B2",
        "c2stY2FuYXJ5LzErMg==",
    ],
)
def test_each_form_of_a_secret_is_masked(text: str) -> None:
    secrets = Secrets({"sk-canary/1+2": "API_KEY"})
    masked = secrets.mask({"deep": [text, {text: 1}]})
    assert secrets.find(str(masked)) is None
    assert "[masked API_KEY]" in str(masked)
    assert secrets.find(text) is not None
