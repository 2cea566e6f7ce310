"""A short fuzz of the API, based on its OpenAPI document; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

from tests.harness.fuzz import fuzz
from tests.harness.processes import Commands


def test_no_request_breaks_the_server(commands: Commands, tmp_path: Path) -> None:
    done = fuzz(commands, tmp_path, examples=5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
