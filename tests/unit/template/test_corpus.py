"""The recorded cases of Go 1.27 with Sprig 3.2.3: the same output, byte for byte, and the same errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from compozy import template
from compozy.errors import TemplateError
from compozy.template import MissingKey

LEFT_OUT = {
    "sprig_enc-027": "derivePassword is left out: templates make no secrets",
    "sprig_enc-028": "env and expandenv are left out: configuration has ${NAME}",
}


class Case(NamedTuple):
    """One rendering and Go's outcome."""

    text: str
    data: Any
    missing_key: MissingKey
    expected: dict[str, Any]


def _as_float64(value: Any) -> Any:
    """Return the data as Go sees it when it reads every number as a float64."""
    if isinstance(value, dict):
        return {key: _as_float64(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_as_float64(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _load(file: str) -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for line in Path(__file__).with_name(file).read_text(encoding="utf-8").strip().split("\n"):
        row = json.loads(line)
        options = row.get("opts", {})
        data = _as_float64(row["data"]) if options.get("numbers") == "float64" else row["data"]
        cases[row["id"]] = Case(row["template"], data, options.get("missingkey", "default"), row)
        strict = row.get("alt", {}).get("missingkey=error")
        if strict:
            cases[f"{row['id']}-missingkey=error"] = Case(row["template"], data, "error", strict)
    return cases


CASES = _load("cases.jsonl")
FOUND = _load("found.jsonl")


def _render(case: Case) -> dict[str, str]:
    try:
        return {"out": template.compile(case.text, name="t").render(case.data, missing_key=case.missing_key)}
    except TemplateError as error:
        return {"error": error.message}


@pytest.mark.parametrize("case_id", sorted(CASES.keys() - LEFT_OUT.keys()))
def test_recorded_case(case_id: str) -> None:
    case = CASES[case_id]
    before = json.dumps(case.data)

    result = _render(case)

    assert result == {key: case.expected[key] for key in ("out", "error") if key in case.expected}
    assert json.dumps(case.data) == before, "the caller's data was changed"


@pytest.mark.parametrize("case_id", sorted(FOUND))
def test_case_found_by_fuzzing(case_id: str) -> None:
    case = FOUND[case_id]
    assert _render(case) == {key: case.expected[key] for key in ("out", "error") if key in case.expected}


def test_corpus_is_complete() -> None:
    assert sum("missingkey=error" not in case_id for case_id in CASES) == 819


@pytest.mark.parametrize("case_id", sorted(LEFT_OUT))
def test_left_out_functions_are_named(case_id: str) -> None:
    assert "is left out on purpose" in _render(CASES[case_id])["error"]
