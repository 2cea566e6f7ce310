"""Measures runs per second against bare DBOS, in one process: `make bench`, or `python -m tests.bench.runs [--runs N]`.

Both sides do the same: runs of five steps that do nothing, with the same engine settings and pool, 1, 10 and 100
concurrently, on a file, in memory and on PostgreSQL (`--driver`). Compozy accepts, executes and records each run
through the workflow executor, tables included; bare DBOS records its journal only. The rounds alternate, and the result
is the ratio of their medians. Other load on the machine affects the absolute figures, which should not be compared with
others.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from compozy.database.database import Database
from compozy.durable.journal import destroy_journal, launch_journal
from compozy.durable.runtime import Runtime
from compozy.ids import new_execution_id, new_executor_id
from compozy.model.catalog import ModelCatalog
from compozy.task.report import Silence
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.execute import WorkflowExecutor
from compozy.workflow.start import prepare_run, start_run
from tests.bench.measured import KINDS, log_as_servers, measured_server, new_place
from tests.bench.report import add_json, announce, report

_STEPS = 5
_WORKFLOW = WorkflowConfig.model_validate(
    {"id": "bench", "tasks": [{"id": f"t{step}", "with": {"step": step}} for step in range(_STEPS)]}
)
_DEFINITION = {"workflow": _WORKFLOW.model_dump(mode="json", by_alias=True, exclude_none=True)}

RunOnce = Callable[[], Awaitable[None]]
Place = Callable[[], AbstractContextManager[Database]]


@dataclass
class Side:
    """Measured times of one side: seconds per round, and per run."""

    rounds_s: list[float] = field(default_factory=list[float])
    runs_s: list[float] = field(default_factory=list[float])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="runs in each round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side")
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 10, 100])
    parser.add_argument("--driver", nargs="*", choices=KINDS, default=list(KINDS), help="databases to measure")
    add_json(parser)
    arguments = parser.parse_args()
    log_as_servers()
    with measured_server(arguments.driver) as server:
        rows = [
            _measure(partial(new_place, kind, server), kind, at_once, arguments.runs, arguments.rounds)
            for kind in arguments.driver
            for at_once in arguments.at_once
        ]
    report(rows, arguments.json)


def _measure(place: Place, kind: str, at_once: int, runs: int, rounds: int) -> dict[str, Any]:
    ours, bare = Side(), Side()
    for number in range(rounds):
        announce(f"{kind}, {at_once} concurrent, round {number + 1} of {rounds}")
        for side, body in ((bare, _bare_round), (ours, our_round)):
            with place() as database:
                asyncio.run(body(database, side, at_once, runs))
    our_rate, bare_rate = (runs / statistics.median(side.rounds_s) for side in (ours, bare))
    return {
        "database": kind,
        "at_once": at_once,
        "compozy_per_s": round(our_rate, 1),
        "bare_per_s": round(bare_rate, 1),
        "ratio": round(bare_rate / our_rate, 2),
        **_quantiles("", ours),
        **_quantiles("bare_", bare),
    }


def _quantiles(prefix: str, side: Side) -> dict[str, float]:
    cuts = statistics.quantiles(side.runs_s, n=100)
    return {f"{prefix}p50_ms": round(cuts[49] * 1000, 1), f"{prefix}p99_ms": round(cuts[98] * 1000, 1)}


async def our_round(database: Database, side: Side, at_once: int, runs: int) -> None:
    """Execute `runs` runs through the workflow executor, `at_once` at the same time."""
    catalog = ModelCatalog((), missing_keys={}, environ={}, base_dir=Path())
    executor = WorkflowExecutor(database=database, catalog=catalog, project="bench", report=Silence())
    runtime = Runtime(database, execute=executor.execute, max_concurrent=at_once, role="bench")
    await runtime.start()

    async def once() -> None:
        new = prepare_run(_WORKFLOW, _DEFINITION, None)
        await start_run(runtime, _WORKFLOW, new)
        await runtime.wait(new.workflow_exec_id)

    await _drive(once, side, at_once, runs)
    await runtime.stop()


@DBOS.step(name="bench.step")
async def _bare_step(number: int) -> dict[str, int]:
    return {"step": number}


@DBOS.workflow(name="bench.run")
async def _bare_run(_: str) -> dict[str, int]:
    done: dict[str, int] = {}
    for number in range(_STEPS):
        done = await _bare_step(number)
    return done


async def _bare_round(database: Database, side: Side, at_once: int, runs: int) -> None:
    launch_journal(database, new_executor_id())

    async def once() -> None:
        run_id = new_execution_id()
        with SetWorkflowID(run_id):
            handle = await DBOS.start_workflow_async(_bare_run, run_id)
        await handle.get_result()

    await _drive(once, side, at_once, runs)
    destroy_journal()


async def _drive(once: RunOnce, side: Side, at_once: int, runs: int) -> None:
    """Keep `at_once` runs in progress until `runs` have ended."""
    left = runs

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began_s = time.perf_counter()
            await once()
            side.runs_s.append(time.perf_counter() - began_s)

    await asyncio.gather(*(once() for _ in range(min(3, at_once))))
    began_s = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    side.rounds_s.append(time.perf_counter() - began_s)


if __name__ == "__main__":
    main()
