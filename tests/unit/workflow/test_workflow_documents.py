"""A run without its values: a small output remains."""

from __future__ import annotations

from typing import Any

import pytest

from compozy.workflow.documents import MAX_SUMMARY_OUTPUT, without_values

LARGEST = "x" * (MAX_SUMMARY_OUTPUT - 2)


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        (None, True),
        ({"text": "ü"}, True),
        (LARGEST, True),
        (LARGEST + "x", False),
        (list(range(MAX_SUMMARY_OUTPUT)), False),
    ],
)
def test_only_a_small_output_remains(output: Any, kept: bool) -> None:
    document = {"input": {"a": 1}, "output": output, "tasks": [{"path": "one", "input": 1, "output": 2}]}
    tasks = [{"path": "one", "input": None, "output": None}]
    assert without_values(document) == {"input": None, "output": output if kept else None, "tasks": tasks}
