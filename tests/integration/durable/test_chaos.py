"""SIGKILL at random while nested runs wait, retry and get signals: a short form of `make chaos`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.invariants import NAMES

_KILLS = 10
# Of what a run comes to that nobody disturbs, on either driver; it changes with `WORKFLOW` in tests/harness/storm.py.
_DIGEST = "3b5636cd2c11abac"


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.timeout(600)
def test_random_kills(tmp_path: Path, driver: str) -> None:
    command = [sys.executable, "-m", "tests.harness.chaos", str(tmp_path), "--driver", driver, "--json"]
    done = subprocess.run([*command, "--kills", str(_KILLS)], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["faults"] == [], f"--seed {found['seed']}"
    assert done.returncode == 0
    assert found["kills"] >= _KILLS
    # Everything was looked at, and the same came of it on both drivers.
    assert min(found["looked_at"][name] for name in NAMES) > 0
    assert found["digest"] == _DIGEST
