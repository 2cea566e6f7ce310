"""Measures how runs scale with workers on one PostgreSQL: `make bench`, or `python -m tests.bench.workers [--runs N]`.

1, 2 and 4 workers with 5 slots each execute runs that wait five times for 200 ms, which is most of their time, so that
the slots are the bottleneck and not the machine. The same runs without waits are measured as well: there the machine is
the bottleneck, and more workers cannot help. The result is the ratio to one worker. After each round the steps of all
runs are counted, since no step may be executed twice.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.executions import count_by_status, insert_execution
from compozy.database.executors import list_executor_ids
from compozy.database.status import Status
from compozy.database.tasks import NewTask, insert_task
from compozy.durable.runtime import Runtime
from compozy.model.catalog import ModelCatalog
from compozy.task.report import Silence
from compozy.workflow.config import WorkflowConfig
from compozy.workflow.execute import WorkflowExecutor
from compozy.workflow.start import prepare_run
from tests.bench.measured import measured_server, new_place
from tests.bench.report import add_json, report
from tests.harness.databases import journal_table

_TASKS = 5
_PLACES = 5
_WAIT_MS = 200
_LOOK_S = 0.02
_LIMIT_S = 600.0


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="runs in each round")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    add_json(parser)
    parser.add_argument("--work", metavar="SETTINGS", help="be one of the workers, on this database")
    arguments = parser.parse_args()
    if arguments.work is not None:
        asyncio.run(_work(DatabaseSettings.model_validate_json(arguments.work)))
        return
    rows: list[dict[str, Any]] = []
    with measured_server(["postgres"]) as server:
        for wait_ms in (_WAIT_MS, 0):
            alone_s = 0.0
            for workers in arguments.workers:
                with new_place("postgres", server) as database:
                    took_s, again = _round(database, workers, arguments.runs, wait_ms)
                alone_s = alone_s or took_s
                rate = round(arguments.runs / took_s, 1)
                row = {"wait_ms": wait_ms, "workers": workers, "runs": arguments.runs, "seconds": round(took_s, 2)}
                rows.append({**row, "runs_per_s": rate, "times_first": round(alone_s / took_s, 2), "twice": again})
    report(rows, arguments.json)


def _round(database: Database, workers: int, runs: int, wait_ms: int) -> tuple[float, int]:
    """Return the time of the workers, and the number of steps that were recorded twice."""
    settings = database.settings.model_dump_json(exclude_unset=True)
    command = [sys.executable, "-m", "tests.bench.workers", "--work", settings]
    processes = [subprocess.Popen(command) for _ in range(workers)]
    try:
        _until(lambda: _signed_on(database) == workers, processes)
        began_s = time.perf_counter()
        _accept(database, runs, wait_ms)
        _until(lambda: _ended(database) == runs, processes)
        return time.perf_counter() - began_s, _recorded_twice(database, runs)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _accept(database: Database, runs: int, wait_ms: int) -> None:
    pause: dict[str, Any] = {"sleep": f"{wait_ms}ms"} if wait_ms else {}
    # A pause is between two tasks, so the number of tasks is one higher than the number of pauses.
    tasks = [{"id": f"t{number}", "with": {"number": number}, **pause} for number in range(_TASKS)]
    workflow = WorkflowConfig.model_validate({"id": "bench", "tasks": [*tasks, {"id": "last", "with": {"done": True}}]})
    definition = {"workflow": workflow.model_dump(mode="json", by_alias=True, exclude_none=True)}
    with database.write() as connection:
        for _ in range(runs):
            new = prepare_run(workflow, definition, None)
            insert_execution(connection, new, owner=None)
            first = NewTask(workflow_exec_id=new.workflow_exec_id, workflow_id="bench", path=workflow.tasks[0].id)
            insert_task(connection, first, Status.PENDING)


def _signed_on(database: Database) -> int:
    with database.read() as connection:
        return len(list_executor_ids(connection))


def _ended(database: Database) -> int:
    with database.read() as connection:
        return count_by_status(connection).get(Status.SUCCESS, 0)


def _recorded_twice(database: Database, runs: int) -> int:
    table = journal_table(database, "operation_outputs")
    query = (
        f"SELECT count(*), count(DISTINCT (workflow_uuid, function_name)) FROM {table} WHERE function_name LIKE '%.end'"
    )
    with database.read() as connection:
        steps, different = connection.execute(sa.text(query)).one()
    if different != runs * (_TASKS + 1):
        raise RuntimeError(f"{different} tasks of {runs * (_TASKS + 1)} were recorded")
    return int(steps) - int(different)


def _until(seen: Any, processes: list[subprocess.Popen[bytes]]) -> None:
    ends_s = time.monotonic() + _LIMIT_S
    while not seen():
        if time.monotonic() > ends_s or any(process.poll() is not None for process in processes):
            raise RuntimeError("the workers did not do their work")
        time.sleep(_LOOK_S)


async def _work(settings: DatabaseSettings) -> None:
    """Execute runs until killed."""
    database = open_database(settings)
    catalog = ModelCatalog((), missing_keys={}, environ={}, base_dir=Path())
    executor = WorkflowExecutor(database=database, catalog=catalog, project="bench", report=Silence())
    runtime = Runtime(database, execute=executor.execute, max_concurrent=_PLACES, role="bench")
    await runtime.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
