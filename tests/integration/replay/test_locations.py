"""Failures of tests name the line and the key of the test file."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

FORM = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
INPUT = {"type": "object", "properties": {"name": {"type": "string"}}}
WORKFLOW: dict[str, Any] = {"input": INPUT, "tasks": [{"id": "ask", "type": "wait", "wait_for": "ok", "form": FORM}]}


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def _write(folder: Path, test: dict[str, Any]) -> None:
    write_project(folder, {"hello": WORKFLOW})
    (folder / "tests").mkdir(exist_ok=True)
    document = {"workflow": "hello", "tests": [{"name": "one", "expect": {"status": "SUCCESS"}, **test}]}
    (folder / "tests/a.test.yaml").write_text(json.dumps(document, indent=1), encoding="utf-8")


def _line(folder: Path, text: str) -> int:
    lines = (folder / "tests/a.test.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_payload_that_does_not_match_names_its_line(cli: RunCli, tmp_path: Path) -> None:
    _write(tmp_path, {"signals": [{"at": "ask", "payload": {"ok": "x"}}]})
    out = cli("test").out
    line = _line(tmp_path, '"payload"')
    assert f"./tests/a.test.yaml:{line}:17: signals[0].payload: the answer does not match the form of task 'ask'" in out
    assert "--input" not in out


def test_an_input_that_does_not_match_names_its_line(cli: RunCli, tmp_path: Path) -> None:
    _write(tmp_path, {"input": {"name": 17}})
    out = cli("test").out
    line = _line(tmp_path, '"input"')
    assert f"./tests/a.test.yaml:{line}:13: input: the input does not match the schema of workflow 'hello'" in out
    assert "--input" not in out


def test_a_junit_report_has_the_line_of_each_test(cli: RunCli, tmp_path: Path) -> None:
    _write(tmp_path, {"input": {"name": 17}})
    cli("test", "--junit", str(tmp_path / "report.xml"))
    (case,) = ET.parse(tmp_path / "report.xml").iter("testcase")
    assert case.get("line") == str(_line(tmp_path, '"name": "one"'))
