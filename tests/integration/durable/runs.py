"""Runs written as short functions, and their rows in the journal and the tables."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import sqlalchemy as sa

from compozy.database.commits import add_commit_hook, remove_commit_hook
from compozy.database.database import Database
from compozy.database.executions import Execution, NewExecution, finish_execution, get_execution
from compozy.database.status import Status
from compozy.database.tables import facts
from compozy.database.tasks import TaskEnd, finish_task
from compozy.durable.format import JOURNAL_FORMAT
from compozy.durable.runtime import Runtime
from compozy.durable.step import transact
from tests.harness.databases import journal_table

Execute = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def running(
    database: Database, execute: Execute, *, max_concurrent: int = 10, queues: Sequence[str] = ()
) -> AsyncGenerator[Runtime, None]:
    """A runtime that executes with `execute` while the block lasts."""
    runtime = Runtime(database, execute=execute, max_concurrent=max_concurrent, role="run", queues=queues)
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


def new_run(run_id: str, **values: Any) -> NewExecution:
    """A run to submit."""
    settings: dict[str, Any] = {"journal_format": JOURNAL_FORMAT, **values}
    return NewExecution(workflow_exec_id=run_id, workflow_id="w", input={}, definition={}, **settings)


async def finish(run_id: str, output: Any = None) -> None:
    """Record the end of a run and of its one task."""

    def change(connection: sa.Connection) -> Any:
        finish_task(connection, f"{run_id}/t", TaskEnd(status=Status.SUCCESS, attempts=1))
        finish_execution(connection, run_id, Status.SUCCESS, output=output)
        return output

    await transact("end", change)


def read_run(database: Database, run_id: str) -> Execution:
    """Return the run from the tables."""
    with database.read() as connection:
        return get_execution(connection, run_id)


def read_journal(database: Database, run_id: str) -> str | None:
    """Return the state of the run in the journal."""
    query = sa.text(f"SELECT status FROM {journal_table(database, 'workflow_status')} WHERE workflow_uuid = :id")
    with database.read() as connection:
        return connection.execute(query, {"id": run_id}).scalar()


def read_steps(database: Database, run_id: str) -> list[str]:
    """Return the names of the recorded steps of a run, in order."""
    table = journal_table(database, "operation_outputs")
    query = sa.text(f"SELECT function_name FROM {table} WHERE workflow_uuid = :id ORDER BY function_id")
    with database.read() as connection:
        return list(connection.execute(query, {"id": run_id}).scalars())


@contextmanager
def commits_of_writer() -> Generator[list[str], None, None]:
    """Note the thread of each commit of the writer."""
    commits: list[str] = []

    def hook(moment: str) -> None:
        name = threading.current_thread().name
        if moment == "after" and name.startswith("compozy-writer"):
            commits.append(name)

    add_commit_hook(hook)
    try:
        yield commits
    finally:
        remove_commit_hook(hook)


def insert_name(name: str, connection: sa.Connection) -> str:
    """Insert a row that `stored_names` finds."""
    connection.execute(sa.insert(facts).values(name=name, value="1"))
    return name


def stored_names(database: Database) -> set[str]:
    """Return the names of the rows that are stored."""
    with database.read() as connection:
        return set(connection.execute(sa.select(facts.c.name).where(facts.c.value == "1")).scalars())
