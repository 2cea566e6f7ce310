"""`compozy worker`: executes runs that others accepted, without answering requests."""

from __future__ import annotations

import asyncio

from compozy.app import WORKER, open_app
from compozy.database.database import Database
from compozy.errors import UsageError
from compozy.project.loaded import LoadedProject
from compozy.server.memory import return_freed_memory
from compozy.server.shutdown import Console, LogReport, Stop, database_line, drain, print_start_notes
from compozy.storage import close_storage, open_storage

_WAIT_FOR_LOCK_S = 30.0


def work(project: LoadedProject, console: Console) -> int:
    """Execute runs until a signal comes, and return the exit code.

    Raises:
        UsageError: the database is in memory, where no other process could leave a run.
        DatabaseError: the database cannot be used.
    """
    if project.database.is_in_memory:
        raise UsageError(
            "a worker cannot share an in-memory database with other processes",
            hint="use a file or PostgreSQL, or run `compozy start`, which executes runs itself",
        )
    return_freed_memory()
    console.line("Starting Compozy worker...")
    database = open_storage(
        project,
        wait_for_lock_s=_WAIT_FOR_LOCK_S,
        on_wait=lambda who: console.note(f"waiting for {who} to end its runs"),
    )
    try:
        console.line(database_line(database))
        return asyncio.run(_work(project, database, console))
    finally:
        close_storage(database)


async def _work(project: LoadedProject, database: Database, console: Console) -> int:
    stop = Stop(console)
    async with open_app(project, database, role=WORKER, report=LogReport()) as app:
        print_start_notes(app, console)
        if database.is_exclusive:
            console.note(
                f"note: one process executes on a SQLite file, and this worker owns {database.location}; "
                "other commands wait for it or only read"
            )
        console.line("Worker ready")
        await stop.requested
        await drain(app, console)
    return 0
