"""The metrics of this process at the path of `monitoring.path`, for Prometheus."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import structlog

from compozy.app import App
from compozy.clock import monotonic_s
from compozy.database.load import count_connections, read_load, timing_queries
from compozy.errors import DatabaseError
from compozy.project.loaded import LoadedProject
from compozy.server.inherited import Inherited
from compozy.telemetry.metrics import DATABASE_CONNECTIONS, EXECUTIONS_OPEN, EXECUTORS_ALIVE, OLDEST_PENDING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

_log = structlog.get_logger(__name__)

# Several scrapers together query the database no more often than this.
_KEPT_S = 5.0
# The variable by which prometheus-client learns where processes share their values.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"
# A scrape reaches one of several processes; the others count their connections as often as this.
_COUNT_S = 1.0


@contextmanager
def monitoring(project: LoadedProject, inherited: Inherited | None = None) -> Generator[Metrics | None, None, None]:
    """Collect metrics until the block ends, if the project asks for it.

    Args:
        project: the project.
        inherited: names the folder through which the processes of a server share their metrics.
    """
    if not project.monitoring.enabled:
        yield None
        return
    with ExitStack() as stack:
        if inherited is not None and inherited.metrics is not None:
            os.environ[_SHARED] = inherited.metrics
            stack.callback(_delete_if_orphaned, inherited.metrics, os.getppid())
        # Imported here: only a process that is monitored needs the library, which decides now how it keeps values.
        from compozy.telemetry.prometheus import CONTENT_TYPE, collecting

        meter = stack.enter_context(
            collecting() if inherited is None else collecting(inherited.metrics, inherited.began_s)
        )
        # All files are open now, and programs that tools start must not write to them.
        os.environ.pop(_SHARED, None)
        stack.enter_context(timing_queries())
        yield Metrics(meter.render, path=project.monitoring.path, media_type=CONTENT_TYPE)


def _delete_if_orphaned(folder: str, parent: int) -> None:
    """Delete the folder of shared metrics if the process that would do so was killed."""
    if os.getppid() != parent:
        shutil.rmtree(folder, ignore_errors=True)


class Metrics:
    """Answers scrapes. The state of the database is read at a scrape, at most every five seconds."""

    def __init__(self, render: Callable[[], bytes], *, path: str, media_type: str) -> None:
        self._render = render
        self._path = path
        self._media_type = media_type
        self._read_s: float | None = None

    def route(self, app: App) -> Route:
        """Return the route of the metrics of a process that executes runs."""
        # Imported here: a worker without a port does without the libraries of servers.
        from starlette.responses import Response
        from starlette.routing import Route

        async def answer(_: Request) -> Response:
            await self._refresh(app)
            return Response(self._render(), headers={"Content-Type": self._media_type, "Cache-Control": "no-store"})

        return Route(self._path, endpoint=answer, methods=["GET"], include_in_schema=False)

    async def _refresh(self, app: App) -> None:
        _count_connections(app)
        if self._read_s is not None and monotonic_s() - self._read_s < _KEPT_S:
            return
        try:
            load = await app.database.read_async(read_load)
        except DatabaseError as error:
            # Old figures would look like a healthy database.
            for metric in (EXECUTIONS_OPEN, EXECUTORS_ALIVE, OLDEST_PENDING):
                metric.clear()
            _log.warning("metrics lack the state of the database", cause=error.message)
            return
        self._read_s = monotonic_s()
        for status, count in load.open.items():
            EXECUTIONS_OPEN.set(count, status=status.value)
        EXECUTORS_ALIVE.set(load.executors)
        OLDEST_PENDING.set(load.oldest_pending_s)


@asynccontextmanager
async def counting_connections(app: App) -> AsyncGenerator[None]:
    """Show the database connections of this process to the others of its server until the block ends."""

    async def count() -> None:
        while True:
            _count_connections(app)
            await asyncio.sleep(_COUNT_S)

    task = asyncio.create_task(count())
    try:
        yield
    finally:
        task.cancel()


def _count_connections(app: App) -> None:
    engines = [engine for used in (app.database, app.run_database) for engine in (used.engine, used.readers)]
    DATABASE_CONNECTIONS.set(count_connections(*engines))
