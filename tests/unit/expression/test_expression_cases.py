"""Expressions have the same values as in another implementation of CEL.

`cases.jsonl` was recorded from cel-rust 0.14 (the package common-expression-language 0.10): the variables in its first
line, then an expression and its value, or that it is an error, in each further line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compozy.errors import ExpressionError
from compozy.expression import evaluate

FIRST, *LINES = (Path(__file__).parent / "cases.jsonl").read_text(encoding="utf-8").splitlines()
VARIABLES = json.loads(FIRST)["variables"]
CASES = [json.loads(line) for line in LINES]
ERROR = "an error"
# Where we differ on purpose, with our value.
DIFFERENCES: dict[str, Any] = {
    "1 + 1.5": 2.5,  # JSON does not distinguish 1 from 1.0, so whole numbers and others mix
    "-true": ERROR,  # the specification does not contain such an operation
    "l.exists(x, x / 0 == 1 || x == 2)": True,  # the specification: as with ||, an error is ignored
    "string(true)": "true",  # in the specification
    "bool('true')": True,  # in the specification
    "{'a': 1, 'a': 2}": ERROR,  # the specification: a repeated key is an error
}


def value_of(text: str) -> Any:
    try:
        return evaluate(text, VARIABLES)
    except ExpressionError:
        return ERROR


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"])
def test_value(case: dict[str, Any]) -> None:
    text = case["text"]
    expected = DIFFERENCES.get(text, ERROR if case.get("error") else case.get("value"))
    value = value_of(text)
    assert value == expected
    assert type(value) is type(expected)


def test_the_record_is_large() -> None:
    assert len(CASES) > 400
    assert DIFFERENCES.keys() <= {case["text"] for case in CASES}
