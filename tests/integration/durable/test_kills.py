"""SIGKILL at every commit of a run: nothing acknowledged is lost, and nothing recorded is repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import KILL_SHARDS

_TOOL_SHARDS = 2
# Two kills are possible while the budget waits, one for each shard.
_BUDGET_SHARDS = 2
_MEMORY_SHARDS = 4


# Neighboring numbers go to different processes, so that they can be tested at the same time.
@pytest.mark.parametrize("shard", range(1, KILL_SHARDS + 1))
@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.timeout(600)
def test_a_run_is_resumed_after_a_kill_at_any_commit(tmp_path: Path, driver: str, shard: int) -> None:
    steps = _kill_everywhere(tmp_path, driver, "tasks", shard, KILL_SHARDS)
    # A run of three tasks has at least two kills for each shard, and an attempt without one.
    assert len(steps) >= 3
    # All shards together hit every commit. On SQLite, 17 of 26 points precede the first step, because the process also
    # creates the tables.
    assert any(steps)


@pytest.mark.parametrize("shard", range(1, _TOOL_SHARDS + 1))
@pytest.mark.parametrize("workflow", ["tools", "agents"])
@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.timeout(900)
def test_a_conversation_with_tools_is_resumed_after_a_kill_at_any_commit(
    tmp_path: Path, driver: str, workflow: str, shard: int
) -> None:
    steps = _kill_everywhere(tmp_path, driver, workflow, shard, _TOOL_SHARDS)
    # Kills occurred between the calls of one answer.
    assert len({len(before) for before in steps}) >= 5


@pytest.mark.parametrize("shard", range(1, _BUDGET_SHARDS + 1))
@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.timeout(900)
def test_a_budget_is_raised_once_after_a_kill_at_any_commit(tmp_path: Path, driver: str, shard: int) -> None:
    steps = _kill_everywhere(tmp_path, driver, "budget", shard, _BUDGET_SHARDS)
    # Kills occurred before the question, while it waited, and after the answer.
    assert any("budget:1.ask" in before and "budget:1.end" not in before for before in steps)
    assert any("budget:1.end" in before for before in steps)


@pytest.mark.parametrize("shard", range(1, _MEMORY_SHARDS + 1))
@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.timeout(900)
def test_no_turn_of_a_conversation_is_lost_or_doubled(tmp_path: Path, driver: str, shard: int) -> None:
    """A run with memory is killed at every commit: between its steps, and around the end of each task."""
    steps = _kill_everywhere(tmp_path, driver, "memory", shard, _MEMORY_SHARDS)
    names = {name for before in steps for name in before}
    assert {"one.memory.chat", "one.end", "note.memory", "two.end", "three.memory.brief", "tidy.memory.look"} <= names


@pytest.mark.parametrize("shard", range(1, _MEMORY_SHARDS + 1))
@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
@pytest.mark.timeout(900)
def test_no_recalled_turn_is_lost_or_doubled(tmp_path: Path, driver: str, shard: int) -> None:
    """A run with recall is killed at every commit; on PostgreSQL also at those of the vector store."""
    steps = _kill_everywhere(tmp_path, driver, "recall", shard, _MEMORY_SHARDS)
    names = {name for before in steps for name in before}
    # The third task is the first one with an older turn.
    assert {"three.memory.short", "three.memory.short.recall"} <= names


def _kill_everywhere(folder: Path, driver: str, workflow: str, shard: int, shards: int) -> list[list[str]]:
    """Kill a run at the commits of a shard, check that nothing was lost, and return the steps before each kill."""
    options = ["--driver", driver, "--workflow", workflow, "--first", str(shard), "--every", str(shards)]
    command = [sys.executable, "-m", "tests.harness.kills", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    kills = json.loads(done.stdout)["kills"]
    # The last attempt had no commit left for a kill.
    assert [kill["killed"] for kill in kills] == [True] * (len(kills) - 1) + [False]
    assert {kill["number"]: kill["faults"] for kill in kills if kill["faults"]} == {}
    return [kill["steps_before"] for kill in kills]


def test_a_program_that_forgets_answers_is_detected(tmp_path: Path) -> None:
    # After the first commit with an answer, and after later ones.
    options = ["--mutant", "forget-answers", "--first", "18", "--every", "2"]
    command = [sys.executable, "-m", "tests.harness.kills", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    faults = [fault for kill in json.loads(done.stdout)["kills"] for fault in kill["faults"]]
    assert any(fault.startswith("recorded, and asked again: ") for fault in faults), faults


def test_a_folder_that_was_used_before_is_refused(tmp_path: Path) -> None:
    (tmp_path / "port").touch()
    command = [sys.executable, "-m", "tests.harness.kills", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: {tmp_path} is not empty: name a new folder, or delete it\n")
