"""Random SIGKILL while nested runs wait, retry and get signals: a short `make chaos`, and proof that it can fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.invariants import NAMES

_KILLS = 10
# Digest of the result of an undisturbed run, on either driver. It changes with `WORKFLOW` in tests/harness/storm.py.
_DIGEST = "a2f8e4cbdb9ae7f7"
# Number of kills in which a mutant must be detected, and the time of its rounds.
_MUTANT_KILLS = 60
_MUTANT_ROUND_S = 40
_MUTANT_TRIES = 4


@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.timeout(600)
def test_random_kills(tmp_path: Path, driver: str) -> None:
    status, found = _chaos(tmp_path, "--driver", driver, "--kills", str(_KILLS))
    assert found["faults"] == [], f"--seed {found['seed']}"
    assert status == 0
    assert found["kills"] >= _KILLS
    # Every invariant was checked, and the results are the same on both drivers.
    assert min(found["looked_at"][name] for name in NAMES) > 0
    assert found["digest"] == _DIGEST


@pytest.mark.parametrize(
    ("mutant", "driver", "fault"),
    [
        # I6: rows that are written to the tables in a separate transaction have their own time.
        ("journal-first", "sqlite", r": (I4|I6|I7|I8|AGREE) "),
        ("tables-first", "sqlite", r": (I4|I7|I8|AGREE) "),
        ("steal-runs", "postgres", r"I5 \S+ went from"),
    ],
)
@pytest.mark.timeout(600)
def test_a_mutant_is_detected(tmp_path: Path, mutant: str, driver: str, fault: str) -> None:
    options = ("--driver", driver, "--kills", str(_MUTANT_KILLS), "--round-s", str(_MUTANT_ROUND_S), "--mutant", mutant)
    found: dict[str, Any] = {}
    for number in range(_MUTANT_TRIES):
        # The kills are random, and a round may end before one of them hits the mutation.
        status, found = _chaos(tmp_path / str(number), *options)
        if status == 1 and any(re.search(fault, told) for told in found["faults"]):
            return
    raise AssertionError(found)


def _chaos(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.harness.chaos", str(folder), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout)
