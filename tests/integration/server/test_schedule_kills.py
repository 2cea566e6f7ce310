"""Four processes start scheduled runs while they are killed and stopped: each scheduled time has one run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compozy.project.load import load_project
from compozy.scheduler.prepare import run_id_of
from compozy.scheduler.stored import store_schedules
from compozy.storage import close_storage, open_storage
from tests.harness.projects import write_project
from tests.harness.schedulers import SCHEDULES, START_MS, TICKS, workflows
from tests.harness.stores import open_store

_ROOT = Path(__file__).parents[3]
_SEED = 20261129


@pytest.mark.timeout(400)
@pytest.mark.parametrize("driver", ["sqlite", "postgres"])
def test_each_time_starts_one_run_whichever_process_is_killed(driver: str, tmp_path: Path) -> None:
    with open_store(driver, tmp_path) as store:
        write_project(tmp_path, workflows(), database=store.section)
        project = load_project(None, cwd=tmp_path, environ={})
        database = open_storage(project, wait_for_lock_s=0.0)
        with database.write() as connection:
            store_schedules(connection, project, clock=lambda _: START_MS)
        close_storage(database)
        command = [sys.executable, "-m", "tests.harness.schedulers", str(tmp_path), str(_SEED)]
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=350, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        counts = json.loads(done.stdout.splitlines()[-1])
        assert counts["killed"] >= 5, counts
        found = sorted(store.query("SELECT workflow_exec_id FROM workflow_states"))
        fired = store.query("SELECT fired, skipped FROM schedules")
    wanted = [
        run_id_of(f"w{number}", START_MS + tick * 1000) for number in range(SCHEDULES) for tick in range(1, TICKS + 1)
    ]
    assert [run_id for (run_id,) in found] == sorted(wanted)
    assert fired == [(TICKS, "{}")] * SCHEDULES
