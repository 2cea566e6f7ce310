"""Results of tests that run in several processes are printed in the order of their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project


def test_results_are_printed_in_the_order_of_the_files(
    cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    slow = {"say": {"text": "late", "delay_ms": 3000}}
    quick = {"tasks": [{"id": "sum", "type": "aggregate", "outputs": {"value": 1}}]}
    write_project(tmp_path, {"slow": {"tasks": [{"id": "say", "prompt": "a"}]}, "quick": quick}, responses=slow)
    (tmp_path / "tests").mkdir()
    for name, workflow in (("a", "slow"), ("b", "quick"), ("c", "quick")):
        document = {"workflow": workflow, "tests": [{"name": name, "expect": {"status": "SUCCESS"}}]}
        (tmp_path / f"tests/{name}.test.yaml").write_text(json.dumps(document), encoding="utf-8")
    done = cli("test", "-j", "2", "--mode", "record")
    assert [line.split()[-1] for line in done.out.splitlines()[:3]] == ["a", "b", "c"]
