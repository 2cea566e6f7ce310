"""Processes that start the runs of the same schedules and are killed and stopped at random moments.

    python -m tests.harness.schedulers FOLDER SEED

The schedules of the project in FOLDER are stored, and end. The program ends as soon as a process has seen all their
times, and prints how many processes it killed and stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.harness.forks import fork, import_program

PROCESSES = 4
START_MS = 1_798_761_600_000  # 2027-01-01T00:00:00Z
# Seconds of the schedules per second of this machine.
SPEED = 10
TICKS = 100
SCHEDULES = 20
_DONE = 0
_LIMIT_S = 240.0


def workflows() -> Mapping[str, Mapping[str, Any]]:
    """Return workflows with schedules whose times are known: `TICKS` each."""
    times = {"every": "1s", "start_at": "2027-01-01T00:00:01Z", "end_at": "2027-01-01T00:01:40Z"}
    schedule = {**times, "overlap_policy": "allow", "catch_up": "all"}
    tasks = [{"id": "pass", "with": {"x": 1}}]
    return {f"w{number}": {"schedule": schedule, "tasks": tasks} for number in range(SCHEDULES)}


def _execute(folder: Path, started_s: float) -> None:
    """Start runs until every schedule has ended."""
    os._exit(asyncio.run(_until_ended(folder, started_s)))


async def _until_ended(folder: Path, started_s: float) -> int:
    from compozy.database.database import open_database
    from compozy.database.schedules import list_schedules
    from compozy.errors import DatabaseError
    from compozy.project.load import load_project
    from compozy.scheduler.loop import Scheduler

    def clock(_: sa.Connection) -> int:
        return START_MS + int((time.monotonic() - started_s) * SPEED * 1000)

    project = load_project(None, cwd=folder, environ={})
    # Without the lock of processes that execute runs: on SQLite, too, several processes store runs.
    database = open_database(project.database)
    scheduler = Scheduler(project=project, database=database, wake=lambda: None, clock=clock)
    while True:
        try:
            await scheduler.round()
            if all(row.tick_ms is None for row in await database.read_async(list_schedules)):
                return _DONE
        except DatabaseError as error:
            # Another process was stopped while it held the lock.
            sys.stderr.write(f"{error.message}\n")
        await asyncio.sleep(0.01)


def main(folder: Path, seed: int) -> dict[str, int]:
    """Kill and stop processes until the schedules have ended, and return how often."""
    import_program()
    chance = random.Random(seed)
    started_s = time.monotonic()
    start = partial(fork, _execute, folder, started_s)
    children = [start() for _ in range(PROCESSES)]
    counts = {"killed": 0, "stopped": 0}
    try:
        while time.monotonic() - started_s < _LIMIT_S:
            time.sleep(chance.uniform(0.05, 0.6))
            for index, child in enumerate(children):
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended and status == _DONE:
                    children[index] = 0
                    return counts
                if ended:
                    raise SystemExit(f"a process ended with {status}")
            index = chance.randrange(PROCESSES)
            if chance.random() < 0.2:
                os.kill(children[index], signal.SIGSTOP)
                time.sleep(chance.uniform(0.1, 1.0))
                os.kill(children[index], signal.SIGCONT)
                counts["stopped"] += 1
            else:
                os.kill(children[index], signal.SIGKILL)
                os.waitpid(children[index], 0)
                children[index] = start()
                counts["killed"] += 1
        raise SystemExit("the schedules did not end")
    finally:
        for child in filter(None, children):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
