"""Stored runs, and functions that run concurrently."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from compozy.database.database import Database
from compozy.database.executions import (
    insert_execution,
)
from compozy.database.status import Status
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
