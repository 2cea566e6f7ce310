"""A server as a process, on a new database, and the runs that are posted to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.migrate import migrate_up
from compozy.durable.journal import migrate_journal
from tests.harness.postgres import Server, database_on
from tests.harness.projects import write_project
from tests.harness.servers import API, free_port

_COMMAND = [sys.executable, "-c", "from compozy.cli.main import main; main()", "start"]
_LOOK_S = 0.05
_LISTENING = "Server listening on "
# The machine may be busy with other work.
_LIMIT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server that was started."""

    port: int
    pid: int


@contextlib.contextmanager
def serving(
    kind: str,
    server: Server | None,
    *,
    fill: Callable[[Database], None] | None = None,
    tasks: int = 1,
    processes: int = 1,
) -> Generator[Served, None, None]:
    """Serve a workflow `echo` of so many tasks on a new database of this kind, which `fill` fills before.

    With several `processes`, the process of the result is the one that starts them.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = DatabaseSettings(driver="sqlite", path=str(folder / "compozy.db"))
        if kind == "postgres":
            assert server is not None
            settings = stack.enter_context(database_on(server))
        if fill is not None:
            _prepare(settings, fill)
        port = free_port()
        section = settings.model_dump(mode="json", exclude_unset=True)
        workflow = {"tasks": [{"id": f"pass-{number}", "with": {"all": "{{ .input }}"}} for number in range(tasks)]}
        write_project(folder, {"echo": workflow}, database=section, server={"port": port})
        output = folder / "log"
        log = stack.enter_context(output.open("wb"))
        command = [*_COMMAND, f"--port={port}", f"--processes={processes}"]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            _until(lambda: _is_listening(output, process), "the server did not become ready")
            _warm_up(port, processes)
            yield Served(port=port, pid=process.pid)
        finally:
            process.terminate()
            process.wait()


def post_runs(port: int, count: int, *, prefix: str | None = None) -> list[float]:
    """Post runs, with IDs that begin with `prefix`, and return the seconds of each request."""
    times: list[float] = []
    with _connected(port) as connection:
        for number in range(count):
            began_s = time.monotonic()
            chosen = {} if prefix is None else {"execution_id": f"{prefix}{number}"}
            _ask(connection, "POST", "/workflows/echo/executions", {"input": {"number": number}, **chosen})
            times.append(time.monotonic() - began_s)
    return times


def wait_for_ends(port: int) -> None:
    """Wait until all runs have ended."""

    def have_ended() -> bool:
        with _connected(port) as connection:
            return not any(_ask(connection, "GET", "/workers")["executions"].values())

    _until(have_ended, "the runs did not end")


def processor_time_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    # The name of the process, field 2, may contain spaces; its times are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _prepare(settings: DatabaseSettings, fill: Callable[[Database], None]) -> None:
    database = open_database(settings)
    try:
        migrate_up(database)
        migrate_journal(database)
        fill(database)
    finally:
        database.close()


def _connected(port: int) -> contextlib.closing[http.client.HTTPConnection]:
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_S))


def _ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    sent = None if body is None else json.dumps(body)
    connection.request(method, f"{API}{path}", body=sent, headers={"content-type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status not in {200, 201, 202}:
        raise RuntimeError(f"{method} {path} was answered with {answer.status}: {content[:200]!r}")
    return json.loads(content)


def _is_listening(output: Path, process: subprocess.Popen[bytes]) -> bool:
    """Return whether all processes of a server accept requests, which it then prints."""
    printed = output.read_text(encoding="utf-8", errors="replace")
    if process.poll() is not None:
        raise RuntimeError(f"the server ended: {printed[-2000:]}")
    return _LISTENING in printed


def _warm_up(port: int, processes: int) -> None:
    """Let each process execute a run: the first one imports the libraries of models."""
    warm: set[int] = set()

    def are_warm() -> bool:
        # The system chooses the process of a connection, which then executes the runs that it accepts.
        with _connected(port) as connection:
            workers = _ask(connection, "GET", "/workers")["workers"]
            _ask(connection, "POST", "/workflows/echo/executions/sync", {"input": {}})
        warm.update(worker["pid"] for worker in workers if worker["is_this"])
        return len(warm) == processes

    _until(are_warm, "a process of the server did not answer")


def _until(seen: Callable[[], bool], failure: str) -> None:
    ends_s = time.monotonic() + _LIMIT_S
    while not seen():
        if time.monotonic() > ends_s:
            raise RuntimeError(failure)
        time.sleep(_LOOK_S)
