"""Measures the overhead of a run over its model: `python -m tests.bench.tasks [--driver file memory postgres]`.

Two measurements, each in a warm process: one run of 40 tasks with a scripted model that takes 10 ms, compared with bare
DBOS and 40 steps of 10 ms; and 10 runs of 3 tasks with a model of 20 ms, started together.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from dbos import DBOS, SetWorkflowID

from compozy.database.database import Database
from compozy.durable.journal import destroy_journal, launch_journal
from compozy.ids import new_execution_id, new_executor_id
from tests.bench.executing import executing
from tests.bench.measured import KINDS, log_as_servers, measured_server, new_place
from tests.bench.report import add_json, announce, report

_LONG, _LONG_MS = 40, 10
_SHORT, _SHORT_MS, _SHORT_RUNS = 3, 20, 10

Round = Callable[[], Awaitable[None]]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement; the median counts")
    parser.add_argument("--driver", nargs="*", choices=KINDS, default=list(KINDS), help="databases to measure")
    add_json(parser)
    arguments = parser.parse_args()
    log_as_servers()
    rows: list[dict[str, Any]] = []
    with measured_server(arguments.driver) as server:
        for kind in arguments.driver:
            announce(kind)
            with new_place(kind, server) as database:
                rows.append({"database": kind, **asyncio.run(_measure(database, arguments.rounds))})
    report(rows, arguments.json)


async def _measure(database: Database, rounds: int) -> dict[str, Any]:
    bare_s = await _bare(database, rounds)
    long_s = await _ours(database, rounds, tasks=_LONG, delay_ms=_LONG_MS, runs=1)
    short_s = await _ours(database, rounds, tasks=_SHORT, delay_ms=_SHORT_MS, runs=_SHORT_RUNS)
    return {
        "40_tasks_s": round(long_s, 3),
        "bare_s": round(bare_s, 3),
        "ratio": round(long_s / bare_s, 2),
        "10x3_tasks_s": round(short_s, 3),
    }


async def _ours(database: Database, rounds: int, *, tasks: int, delay_ms: int, runs: int) -> float:
    response = {"text": "answer", "delay_ms": delay_ms}
    responses = {f"t{number}": response for number in range(tasks)}
    written = [{"id": f"t{number}", "prompt": f"question {number}"} for number in range(tasks)]
    async with executing(database, written, responses) as once:

        async def together() -> None:
            await asyncio.gather(*(once() for _ in range(runs)))

        return await _median_s(together, rounds)


@DBOS.step(name="bench.pause")
async def _bare_step(number: int) -> dict[str, int]:
    await asyncio.sleep(_LONG_MS / 1000)
    return {"step": number}


@DBOS.workflow(name="bench.forty")
async def _bare_run(_: str) -> None:
    for number in range(_LONG):
        await _bare_step(number)


async def _bare(database: Database, rounds: int) -> float:
    launch_journal(database, new_executor_id())

    async def once() -> None:
        run_id = new_execution_id()
        with SetWorkflowID(run_id):
            handle = await DBOS.start_workflow_async(_bare_run, run_id)
        await handle.get_result(polling_interval_sec=0.01)

    taken_s = await _median_s(once, rounds)
    destroy_journal()
    return taken_s


async def _median_s(body: Round, rounds: int) -> float:
    """Return the median of `rounds` after one warm-up round."""
    await body()
    taken_s: list[float] = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        await body()
        taken_s.append(time.perf_counter() - began_s)
    return statistics.median(taken_s)


if __name__ == "__main__":
    main()
