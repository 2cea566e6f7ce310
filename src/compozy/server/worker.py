"""`compozy worker`: executes runs that others accepted, without answering requests about them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, nullcontext

from compozy.app import WORKER, App, open_app
from compozy.database.database import Database
from compozy.errors import UsageError
from compozy.project.loaded import LoadedProject
from compozy.server.memory import return_freed_memory
from compozy.server.metrics import Metrics, monitoring
from compozy.server.shutdown import DRAIN_S, Console, LogReport, Stop, database_line, drain, print_start_notes
from compozy.server.supervisor import supervised
from compozy.storage import close_storage, open_storage

_WAIT_FOR_LOCK_S = 30.0
# Probes and scrapers.
_CONNECTIONS = 64


def work(project: LoadedProject, console: Console, *, with_port: bool = False) -> int:
    """Execute runs until a signal comes, and return the exit code.

    Args:
        project: the project.
        console: receives the lines to print.
        with_port: whether to answer probes, and scrapes if metrics are on, at the address of `server:`.

    Raises:
        UsageError: the database is in memory, where no other process could leave a run, or the port cannot be used.
        DatabaseError: the database cannot be used.
    """
    if project.database.is_in_memory:
        raise UsageError(
            "a worker cannot share an in-memory database with other processes",
            hint="use a file or PostgreSQL, or run `compozy start`, which executes runs itself",
        )
    return_freed_memory()
    console.line("Starting Compozy worker...")
    with monitoring(project) as metrics, _open_port(project) if with_port else nullcontext() as sock:
        database = open_storage(
            project,
            wait_for_lock_s=_WAIT_FOR_LOCK_S,
            on_wait=lambda who: console.note(f"waiting for {who} to end its runs"),
        )
        try:
            console.line(database_line(database))
            return asyncio.run(_work(project, database, console, sock, metrics))
        finally:
            close_storage(database)


def _open_port(project: LoadedProject) -> closing[socket.socket]:
    from compozy.server.ports import listen
    from compozy.server.serve import guard_settings

    guard_settings(project, has_workflows=False)
    return closing(listen(project.server.host, project.server.port))


async def _work(
    project: LoadedProject, database: Database, console: Console, sock: socket.socket | None, metrics: Metrics | None
) -> int:
    stop = Stop(console)
    stopping = asyncio.Event()
    async with supervised() as supervisor, open_app(project, database, role=WORKER, report=LogReport()) as app:
        await print_start_notes(app, console)
        if database.is_exclusive:
            console.note(
                f"note: one process executes on a SQLite file, and this worker owns {database.location}; "
                "other commands wait for it or only read"
            )
        async with _probes(app, stopping, sock, metrics) if sock is not None else nullcontext():
            if sock is not None:
                console.line(f"Probes listening on :{sock.getsockname()[1]}")
            console.line("Worker ready")
            supervisor.ready()
            await stop.requested
            supervisor.stopping()
            stopping.set()
            await drain(app, console)
    return 0


@asynccontextmanager
async def _probes(
    app: App, stopping: asyncio.Event, sock: socket.socket, metrics: Metrics | None
) -> AsyncGenerator[None, None]:
    # Imported here: most workers have no port, and do without the libraries of servers.
    from compozy.server.listener import http_config, listening
    from compozy.server.probes import make_probes
    from compozy.server.serve import guard_settings

    guard = guard_settings(app.project, has_workflows=False)
    application = make_probes(app, stopping, guard, metrics)
    async with listening(http_config(application, limit=_CONNECTIONS, patience_s=DRAIN_S), sock):
        yield
