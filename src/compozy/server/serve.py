"""A server's life: its port, its database, ready, asked to stop, drained."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

from compozy.app import SERVER, App, open_app
from compozy.config.loopback import is_loopback
from compozy.config.settings import RateSettings
from compozy.database.database import Database
from compozy.errors import UsageError
from compozy.project.loaded import LoadedProject
from compozy.server.connections import connection_limit, raise_descriptor_limit, watch_loop
from compozy.server.entry import Entry, check_triggers, new_entries
from compozy.server.gate import GuardSettings
from compozy.server.http import make_http
from compozy.server.ingest import take_in_on_start
from compozy.server.inherited import Inherited
from compozy.server.limits import Rate
from compozy.server.listener import Listener, http_config, until_ended, until_started
from compozy.server.memory import return_freed_memory
from compozy.server.metrics import Metrics, counting_connections, monitoring
from compozy.server.oidc import check_oidc
from compozy.server.ports import BACKLOG, listen
from compozy.server.service import Service
from compozy.server.shutdown import DRAIN_S, Console, LogReport, Stop, database_line, drain, print_start_notes
from compozy.server.supervisor import Parent, supervised
from compozy.storage import close_storage, has_administrator, open_storage

STARTING = "Starting Compozy server..."
_WAIT_FOR_LOCK_S = 30.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a client asks instead


Beside = Callable[[Service], Coroutine[Any, Any, None]]


def serve(
    project: LoadedProject,
    console: Console,
    *,
    with_stdin: bool = False,
    beside: Beside | None = None,
    inherited: Inherited | None = None,
) -> int:
    """Serve a project until a signal comes, or with `with_stdin` stdin ends, and return the exit code.

    Args:
        project: the project.
        console: what is printed.
        with_stdin: whether the end of stdin stops the server.
        beside: serves a client besides those over HTTP; its end stops the server.
        inherited: what this process has from the one that started it to serve on its socket.

    Raises:
        UsageError: the address cannot be used, or needs an API key, or a trigger cannot be served.
        DatabaseError: the database cannot be used.
    """
    guard = check_server(project)
    return_freed_memory()
    # The process that started this one prints them.
    print_line = console.line if inherited is None else _print_nothing
    print_line(STARTING)
    with monitoring(project, inherited) as metrics, closing(_socket(project, inherited)) as sock:
        address = Address.of(sock)
        database = open_storage(
            project,
            wait_for_lock_s=_WAIT_FOR_LOCK_S,
            on_wait=lambda who: console.note(f"waiting for {who} to end its runs"),
            url=address.url,
        )
        try:
            print_line(database_line(database))
            door = _Door(
                sock=sock,
                address=address,
                guard=guard,
                limit=connection_limit(raise_descriptor_limit()),
                with_stdin=with_stdin,
                beside=beside,
                metrics=metrics,
                parent=None if inherited is None else inherited.parent,
                ingests=inherited is None or inherited.ingests,
            )
            return asyncio.run(_serve(project, database, door, console))
        finally:
            close_storage(database)


def check_server(project: LoadedProject) -> GuardSettings:
    """Return what requests are held to, if the project can be served.

    Raises:
        UsageError: the address needs an API key, or a trigger cannot be served.
    """
    guard = guard_settings(project)
    check_triggers(project)
    check_oidc(project)
    return guard


def _socket(project: LoadedProject, inherited: Inherited | None) -> socket.socket:
    if inherited is not None:
        return socket.socket(fileno=inherited.socket)
    return listen(project.server.host, project.server.port)


def _print_nothing(_: str) -> None:
    pass


def guard_settings(project: LoadedProject, *, has_workflows: bool = True) -> GuardSettings:
    """Return what requests are held to.

    Args:
        project: the project.
        has_workflows: whether its workflow files were read, so that exceptions can be compared with them.

    Raises:
        UsageError: the server requires a key, and none exists; or an exception names an unknown workflow.
    """
    server = project.server
    settings = GuardSettings(
        host=server.host,
        api_key=server.api_key.get_secret_value() if server.api_key else None,
        auth=server.auth.enabled,
        public_workflows=frozenset(server.auth.workflow_exceptions),
        metrics_path=project.monitoring.path if project.monitoring.enabled else None,
        public_url=server.public_url,
        address_rate=_rate(project.ratelimit.global_rate),
        key_rate=_rate(project.ratelimit.api_key_rate),
        trusted_proxy=server.auth.trusted_proxy,
        has_oidc=server.auth.oidc is not None,
    )
    for workflow_id in server.auth.workflow_exceptions if has_workflows else ():
        # Names a similar one.
        project.workflow(workflow_id)
    others_sign_in = settings.has_oidc or settings.trusted_proxy is not None
    if settings.is_auth_required and not (others_sign_in or settings.api_key or has_administrator(project)):
        reason = "server.auth.enabled is on" if server.auth.enabled else "server.public_url is set"
        if not is_loopback(server.host):
            reason = f"server.host {server.host!r} lets other machines reach the server"
        raise UsageError(
            f"{reason}, and server.api_key is not set",
            hint="create an administrator with `compozy auth bootstrap`, or set SERVER_API_KEY to a long random text"
            + ("" if is_loopback(server.host) else ", or listen on 127.0.0.1"),
            http_hint="set SERVER_API_KEY to a long random text",
        )
    return settings


def _rate(settings: RateSettings | None) -> Rate | None:
    return None if settings is None else Rate(limit=settings.limit, period_s=settings.period)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a server listens, and the URL under which this machine reaches it."""

    port: int
    url: str

    @classmethod
    def of(cls, sock: socket.socket) -> Address:
        """Return the address of a listening socket."""
        bound: tuple[str, int] = sock.getsockname()[:2]
        host, port = bound
        name = _WILDCARDS.get(host, host)
        shown = f"[{name}]" if ":" in name else name
        return cls(port=port, url=f"http://{shown}:{port}")

    def print_to(self, console: Console) -> None:
        """Print that requests are answered."""
        console.line(f"Server listening on :{self.port} ({self.url})")
        console.line(f"Web page: {self.url}/ui/")


@dataclass(frozen=True, kw_only=True)
class _Door:
    sock: socket.socket
    address: Address
    guard: GuardSettings
    limit: int
    with_stdin: bool
    beside: Beside | None
    metrics: Metrics | None
    parent: Parent | None
    ingests: bool


async def _serve(project: LoadedProject, database: Database, door: _Door, console: Console) -> int:
    watch_loop(asyncio.get_running_loop())
    stop = Stop(console, with_stdin=door.with_stdin, has_parent=door.parent is not None)
    async with (
        supervised(parent=door.parent) as supervisor,
        open_app(project, database, role=SERVER, report=LogReport()) as app,
        counting_connections(app) if door.parent is not None else nullcontext(),
    ):
        await print_start_notes(app, console)
        if door.ingests:
            await take_in_on_start(app, console)
        service = Service(app=app)
        entries = new_entries(service)
        application = make_http(service, door.guard, entries, door.metrics)
        server = Listener(http_config(application, limit=door.limit, patience_s=DRAIN_S))
        serving = asyncio.create_task(server.serve(sockets=[door.sock]))
        await until_started(server, serving)
        # uvicorn has made the queue of the kernel as short as its rounds.
        door.sock.listen(BACKLOG)
        if door.parent is None:
            door.address.print_to(console)
        supervisor.ready()
        loading = asyncio.create_task(_load(app, entries))
        beside = asyncio.create_task(_beside(door.beside, service))
        await asyncio.wait({stop.requested, serving, beside}, return_when=asyncio.FIRST_COMPLETED)
        supervisor.stopping()
        service.stopping.set()
        await asyncio.gather(*(entry.aclose() for entry in entries))
        server.should_exit = True
        await asyncio.gather(until_ended(serving), drain(app, door.parent or console))
        for task in (loading, beside):
            task.cancel()
        await asyncio.gather(loading, beside, return_exceptions=True)
        await service.hub.aclose()
    return 0


async def _beside(beside: Beside | None, service: Service) -> None:
    """Serve the client besides those over HTTP; without one, wait until this is canceled."""
    if beside is None:
        await asyncio.get_running_loop().create_future()
    else:
        await beside(service)


async def _load(app: App, entries: Sequence[Entry]) -> None:
    """Load what the first run and the first request of each entry need."""
    await app.load_models()
    for entry in entries:
        await entry.preload()
