"""Figures of benchmarks are compared, condensed, printed and written; nothing here measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.bench.report import compare, medians, report


def test_few_and_many_are_compared() -> None:
    assert compare({"claim_ms": 2.0, "x": 1}, {"claim_ms": 1.5, "x": 2}, "claim_ms") == {
        "few_claim_ms": 2.0,
        "many_claim_ms": 1.5,
        "claim_ratio": 0.75,
    }


def test_rounds_become_their_medians() -> None:
    rows = [{"database": name, "ms": ms} for ms in (1.0, 5.0, 3.0) for name in ("file", "postgres")]
    assert medians([*rows, {"database": "file", "ms": 9.0}], "database") == [
        {"database": "file", "ms": 4.0},
        {"database": "postgres", "ms": 3.0},
    ]


def test_a_table_has_a_column_for_each_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.json"
    rows = [{"database": "file", "ms": 1}, {"database": "postgres", "client_ms": 22}]
    report(rows, file)
    load, *table = capsys.readouterr().out.splitlines()
    assert load.startswith("load average ")
    assert table == ["database  ms  client_ms", "    file   1           ", "postgres             22"]
    assert json.loads(file.read_text()) == rows
