"""A process that executes runs of two steps until it is ended, and writes each step to a log.

python -m tests.integration.durable.worker ORDERS, a JSON object: `database`, the settings; `log`, a file; `pauses_s`,
the duration of each step by name; `wait_s`, the wait after each step; `places`, the number of concurrent runs;
`stop_at_commit`, the commit before which it stops itself, 0 for never.

SIGUSR1 sets its clock an hour ahead, SIGUSR2 an hour back. SIGTERM shuts it down gracefully.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from compozy.clock import now_ms
from compozy.config.settings import DatabaseSettings
from compozy.database.commits import add_commit_hook
from compozy.database.database import open_database
from compozy.durable.context import current_run
from compozy.durable.runtime import Runtime
from compozy.durable.step import step, transact
from compozy.log import configure_logging
from tests.integration.durable.runs import finish

_HOUR_S = 3600


async def _work(orders: dict[str, Any]) -> None:
    log = Path(orders["log"])

    async def execute(run_id: str) -> None:
        for name, pause_s in orders["pauses_s"].items():

            async def call(name: str = name, pause_s: float = pause_s) -> Any:
                _write(log, json.dumps({"run": run_id, "step": name, "at_s": time.time()}) + "\n")
                await asyncio.sleep(pause_s)

            await step(name, call)
            if orders["wait_s"]:
                until_ms = await transact(f"{name}.wait", lambda _: now_ms() + int(orders["wait_s"] * 1000))
                await current_run().wait(until_ms=until_ms)
        await finish(run_id, output={"by": os.getpid()})

    database = open_database(DatabaseSettings.model_validate(orders["database"]))
    runtime = Runtime(database, execute=execute, max_concurrent=orders["places"], role="worker")
    await runtime.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    for number, seconds in ((signal.SIGUSR1, _HOUR_S), (signal.SIGUSR2, -_HOUR_S)):
        loop.add_signal_handler(number, partial(_set_clock, seconds))
    if orders["stop_at_commit"]:
        _stop_at_commit(orders["stop_at_commit"])
    _write(log, "")
    await stop.wait()
    await runtime.stop()
    database.close()


def _set_clock(seconds: int) -> None:
    """Set the time of day of this process and of its engine. Clocks that measure durations are not changed."""
    read, read_ns = time.time, time.time_ns
    time.time = lambda: read() + seconds
    time.time_ns = lambda: read_ns() + seconds * 1_000_000_000


def _stop_at_commit(number: int) -> None:
    """Stop this process before a commit, while it holds the locks of the transaction."""
    commits = itertools.count(1)

    def hook(when: str) -> None:
        if when == "before" and next(commits) == number:
            os.kill(os.getpid(), signal.SIGSTOP)

    add_commit_hook(hook)


def _write(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


if __name__ == "__main__":
    configure_logging("warn", as_json=False)
    asyncio.run(_work(json.loads(sys.argv[1])))
