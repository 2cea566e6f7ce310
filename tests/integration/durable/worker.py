"""A process that executes runs of two steps until it is ended, and writes down what it does.

python -m tests.integration.durable.worker PORT DBNAME LOG FIRST_MS SECOND_MS PLACES
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from compozy.config.settings import DatabaseSettings
from compozy.database.database import open_database
from compozy.durable.runtime import Runtime
from compozy.durable.step import step
from tests.integration.durable.runs import finish


async def _work(port: int, dbname: str, log: Path, pauses_s: dict[str, float], places: int) -> None:
    settings = DatabaseSettings(driver="postgres", host="127.0.0.1", port=port, user="compozy", dbname=dbname)

    async def execute(run_id: str) -> None:
        for name, pause_s in pauses_s.items():

            async def call(name: str = name, pause_s: float = pause_s) -> Any:
                _write(log, json.dumps({"run": run_id, "step": name, "at_s": time.time()}) + "\n")
                await asyncio.sleep(pause_s)

            await step(name, call)
        await finish(run_id, output={"by": os.getpid()})

    runtime = Runtime(open_database(settings), execute=execute, max_concurrent=places, role="worker")
    await runtime.start()
    _write(log, "")
    await asyncio.Event().wait()


def _write(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


if __name__ == "__main__":
    _, port, dbname, log, first_ms, second_ms, places = sys.argv
    pauses_s = {"first": int(first_ms) / 1000, "second": int(second_ms) / 1000}
    asyncio.run(_work(int(port), dbname, Path(log), pauses_s, int(places)))
