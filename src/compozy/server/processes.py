"""`compozy start --processes N`: one process that listens, and N that serve and execute runs on its socket.

The first process checks the project, prepares the database and listens. It neither answers requests nor executes runs:
it starts the others with the same command (`inherited`), replaces those that end, and stops all of them. Each of them
is a server with its own lease, as `compozy start` without this option is.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from compozy.clock import monotonic_s
from compozy.config.database_rules import TITLES
from compozy.errors import DatabaseError, ServerError, UsageError
from compozy.log import share_log
from compozy.project.loaded import LoadedProject
from compozy.project.watch import Stamps, read_stamps
from compozy.server.inherited import Inherited
from compozy.server.ports import listen
from compozy.server.serve import STARTING, Address, check_server
from compozy.server.serverprocess import REPORTS, Restarts, ServerProcess, start_process
from compozy.server.shutdown import Console, Stop, database_line
from compozy.server.supervisor import Supervisor, supervised, watchdog_interval_s
from compozy.storage import close_storage, connections_danger, display_location, open_storage

_log = structlog.get_logger(__name__)

# The event loop of a process may be blocked for so long before it is replaced, if the service manager sets no limit.
_HANGS_S = 60.0
# A process that is asked to stop reports its runs within this time.
_REPORT_S = 2.0
# Exit codes of processes that a signal ended are above this one.
_KILLED = 128
# Variables for the process that the service manager started.
_OF_MANAGER = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})


def serve_processes(project: LoadedProject, console: Console, *, command: Sequence[str], with_stdin: bool) -> int:
    """Serve a project with several processes until a signal comes, and return the exit code.

    Args:
        project: the project.
        console: what is printed.
        command: starts one of the processes.
        with_stdin: whether the end of stdin stops the server.

    Raises:
        UsageError: the address cannot be used, or needs an API key, a trigger cannot be served, or the database is not
            for several processes.
        DatabaseError: the database cannot be used.
    """
    if project.database.has_one_writer:
        raise UsageError(
            f"{project.server.processes} server processes cannot share the {TITLES[project.database.driver]} database "
            f"{display_location(project)}: one process executes its runs",
            hint="use PostgreSQL (database.driver), or one process (server.processes: 1 or `--processes 1`)",
        )
    check_server(project)
    console.line(STARTING)
    with closing(listen(project.server.host, project.server.port)) as sock, _shared_files(project) as (log, metrics):
        share_log(log)
        _prepare_database(project, console)
        group = ProcessGroup(
            console=console,
            count=project.server.processes,
            command=command,
            root=project.root,
            sock=sock,
            log_file=log,
            metrics=metrics,
        )
        return asyncio.run(group.serve(Address.of(sock), with_stdin=with_stdin))


@contextmanager
def _shared_files(project: LoadedProject) -> Generator[tuple[int, str | None], None, None]:
    """Return what the processes share: the file that they lock to write to the log, and the folder of metrics.

    Raises:
        UsageError: no temporary file can be created.
    """
    with ExitStack() as stack:
        try:
            log = stack.enter_context(tempfile.TemporaryFile())
            metrics = None
            if project.monitoring.enabled:
                metrics = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="compozy-", ignore_cleanup_errors=True)
                )
        except OSError as error:
            raise UsageError(
                f"several server processes need temporary files, which cannot be created: {error.strerror}",
                hint="set TMPDIR to a folder that can be written, or use one process (server.processes: 1)",
            ) from error
        yield log.fileno(), metrics


def _prepare_database(project: LoadedProject, console: Console) -> None:
    """Migrate the database and claim it for the project, and warn if the processes need too many connections."""
    database = open_storage(project, wait_for_lock_s=0.0)
    try:
        console.line(database_line(database))
        with database.read() as connection:
            danger = connections_danger(project, database.driver.inspect(project.database, connection))
        if danger is not None:
            console.note(f"warning: {danger[0]} ({danger[1]})")
    finally:
        close_storage(database)


@dataclass(frozen=True, kw_only=True)
class _End:
    """The end of a process: its exit code, and the unfinished runs that it left. `pid` is None if it did not start."""

    exit_code: int
    pid: int | None = None
    age_s: float = 0.0
    was_ready: bool = False
    left: int = 0


@dataclass(kw_only=True)
class ProcessGroup:
    """The processes of one server.

    Attributes:
        count: their number.
        command: starts one of them.
        root: folder of the project.
        sock: the listening socket.
        log_file: descriptor of the file that is locked while a record is written.
        metrics: folder through which the processes share their metrics; None if there are none.
    """

    console: Console
    count: int
    command: Sequence[str]
    root: Path
    sock: socket.socket
    log_file: int
    metrics: str | None
    _began_s: float = field(default_factory=monotonic_s)
    _alive_s: float = _HANGS_S / REPORTS
    _stamps: Stamps = field(default_factory=Stamps)
    _children: dict[int, ServerProcess] = field(default_factory=dict[int, ServerProcess])
    _keepers: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    _was_ready: bool = False
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _failed: asyncio.Event = field(default_factory=asyncio.Event)
    _exit_codes: list[int] = field(default_factory=list[int])
    _left: int = 0

    async def serve(self, address: Address, *, with_stdin: bool) -> int:
        """Serve until a signal comes or the processes cannot run, and return the exit code."""
        interval_s = watchdog_interval_s(os.environ)
        if interval_s is not None:
            self._alive_s = 2 * interval_s / REPORTS
        self._stamps = _stamps_of(self.root)
        stop = Stop(self.console, with_stdin=with_stdin, before_exit=self._kill_all)
        async with supervised() as manager:
            starting = asyncio.create_task(self._start_all(address, manager))
            # It fails if stdout is closed.
            starting.add_done_callback(lambda _: self._failed.set() if _has_failed(starting) else None)
            tasks = starting, asyncio.create_task(self._watch_all()), asyncio.create_task(self._failed.wait())
            await asyncio.wait({stop.requested, tasks[-1]}, return_when=asyncio.FIRST_COMPLETED)
            manager.stopping()
            for task in tasks:
                task.cancel()
            await self._stop_all()
            await asyncio.gather(*tasks, return_exceptions=True)
        if _has_failed(starting):
            starting.result()
        return next(filter(None, self._exit_codes), 0)

    async def _start_all(self, address: Address, manager: Supervisor) -> None:
        """Start the processes, and report that the server is ready when all of them are."""
        ready = [asyncio.Event() for _ in range(self.count)]
        for number, event in enumerate(ready):
            self._keepers.append(asyncio.create_task(self._keep(number, event)))
            if number == 0:
                # An error of the project is printed once, and knowledge is ingested before the first request.
                await event.wait()
        for event in ready:
            await event.wait()
        self._was_ready = True
        address.print_to(self.console)
        manager.ready()

    async def _keep(self, number: int, ready: asyncio.Event) -> None:
        """Keep one process running until the server stops."""
        restarts = Restarts()
        while not self._stopping.is_set():
            end = await self._run(number, ready)
            if self._stopping.is_set():
                self._left += end.left
                # One that was not ready has not handled the signal.
                self._exit_codes.append(end.exit_code if end.was_ready else 0)
                return
            # A server that has been ready waits for the database, as one process does.
            is_counted = end.exit_code != DatabaseError.exit_status or not self._was_ready
            restarts.note_end(age_s=end.age_s, was_ready=end.was_ready, is_counted=is_counted)
            if restarts.has_failed or not self._was_ready:
                self._fail(end)
                return
            _log.warning(
                "a server process ended; another one replaces it",
                pid=end.pid,
                exit_code=end.exit_code,
                pause_s=restarts.pause_s,
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), restarts.pause_s)

    async def _run(self, number: int, ready: asyncio.Event) -> _End:
        """Start one process and wait for its end."""
        is_first = not ready.is_set()
        inherited = Inherited(
            socket=self.sock.fileno(),
            reports=-1,
            log=self.log_file,
            alive_s=self._alive_s,
            ingests=is_first and number == 0,
            metrics=self.metrics,
            began_s=self._began_s,
        )
        environ = {name: value for name, value in os.environ.items() if name not in _OF_MANAGER}
        try:
            child, reports = await start_process(self.command, inherited, environ)
        except OSError as error:
            _log.error("a server process could not be started", cause=str(error))
            return _End(exit_code=ServerError.exit_status)
        self._children[number] = child
        if self._stopping.is_set():
            child.stop()
        if not is_first and _stamps_of(self.root) != self._stamps:
            _log.warning("only this process uses the changed files of the project; restart the server", pid=child.pid)
        code = await child.wait(reports, ready.set)
        del self._children[number]
        self._forget(child)
        return _End(exit_code=code, pid=child.pid, age_s=child.age_s, was_ready=child.is_ready, left=child.left)

    def _forget(self, child: ServerProcess) -> None:
        if self.metrics is not None:
            from compozy.telemetry.prometheus import forget_process

            # They differ in the one-file program, which serves in a child.
            for pid in {child.process.pid, child.pid}:
                forget_process(self.metrics, pid)

    def _fail(self, end: _End) -> None:
        """Give up, with the exit code of a process that cannot run. It has printed its error, unless it was killed."""
        if self._was_ready or end.exit_code > _KILLED:
            _log.error("a server process cannot start, and the server ends", pid=end.pid, exit_code=end.exit_code)
        self._exit_codes.append(end.exit_code or ServerError.exit_status)
        self._failed.set()

    async def _watch_all(self) -> None:
        """Kill processes that hang, so that they are replaced."""
        while True:
            await asyncio.sleep(self._alive_s)
            for child in list(self._children.values()):
                if child.is_hanging():
                    _log.error("a server process does not respond and is killed", pid=child.pid)
                    child.kill()

    async def _stop_all(self) -> None:
        """Stop all processes gracefully and wait for their ends."""
        self._stopping.set()
        self.sock.close()
        children = list(self._children.values())
        for child in children:
            child.stop()
        waiting = [asyncio.create_task(child.stopping.wait()) for child in children]
        if waiting:
            await asyncio.wait(waiting, timeout=_REPORT_S)
        self.console.draining(sum(child.running for child in children))
        await asyncio.gather(*waiting, *self._keepers)
        if self._was_ready:
            self.console.drained(self._left)

    def _kill_all(self) -> None:
        for child in list(self._children.values()):
            child.kill()
        if self.metrics is not None:
            shutil.rmtree(self.metrics, ignore_errors=True)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is not None


def _stamps_of(root: Path) -> Stamps:
    """Return the stamps of the files with settings. Other files may be data."""
    return {path: stamp for path, stamp in read_stamps(root).items() if not path.endswith(".json")}
