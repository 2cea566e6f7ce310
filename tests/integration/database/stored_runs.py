"""Stored runs, and functions that run concurrently."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from compozy.database.database import Database
from compozy.database.executions import (
    insert_execution,
)
from compozy.database.status import Status
from compozy.database.tables import workflow_states
from compozy.database.tasks import (
    NewTask,
    insert_task,
)
from tests.harness.databases import new_run


def accept(database: Database, *run_ids: str, owner: str | None = None, **more: Any) -> None:
    for run_id in run_ids:
        with database.write() as connection:
            assert insert_execution(connection, new_run(run_id, **more), owner=owner)
            task = NewTask(workflow_exec_id=run_id, workflow_id="w", path="t")
            insert_task(connection, task, Status.RUNNING if owner else Status.PENDING)


def store_many(database: Database, count: int, *, prefix: str = "r", **values: Any) -> None:
    """Store `count` runs without tasks, PENDING unless `values` say otherwise, and update the planner's statistics."""
    row: dict[str, Any] = {"workflow_id": "w", "status": "PENDING", "journal_format": 1, "definition": {}, **values}
    rows = [
        {"workflow_exec_id": f"{prefix}{number:06}", "created_ms": 1000 + number, "updated_ms": 1000, **row}
        for number in range(count)
    ]
    with database.write() as connection:
        for first in range(0, count, 1000):
            connection.execute(sa.insert(workflow_states), rows[first : first + 1000])
        connection.exec_driver_sql("ANALYZE" if connection.dialect.name == "sqlite" else "ANALYZE workflow_states")


def explain(database: Database, statements: Sequence[tuple[str, Any]]) -> list[str]:
    """Return the plan of each statement, of which each is the text and the parameters that a driver got."""
    with database.read() as connection:
        prefix = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plans = [connection.exec_driver_sql(prefix + text, parameters).all() for text, parameters in statements]
    return ["\n".join(str(row[-1]) for row in plan) for plan in plans]


def run_concurrently(count: int, work: Callable[[int], None]) -> None:
    """Run `work(number)` in threads that start together, and raise any exception of them."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def body(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
