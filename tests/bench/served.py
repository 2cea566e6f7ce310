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

from compozy.config.settings import DatabaseSettings
from compozy.database.database import Database, open_database
from compozy.database.migrate import migrate_up
from compozy.durable.journal import migrate_journal
from tests.harness.postgres import Server, database_on
from tests.harness.projects import write_project
from tests.harness.servers import API, ask, free_port

_COMMAND = [sys.executable, "-c", "from compozy.cli.main import main; main()", "start"]
_LOOK_S = 0.02
# The machine may be busy with other work.
_READY_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server that was started."""

    port: int
    pid: int


@contextlib.contextmanager
def serving(
    kind: str, server: Server | None, *, fill: Callable[[Database], None] | None = None, tasks: int = 1
) -> Generator[Served, None, None]:
    """Serve a workflow `echo` of so many tasks on a new database of this kind, which `fill` fills before."""
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
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen([*_COMMAND, f"--port={port}"], cwd=folder, stdout=log, stderr=log)
        try:
            _until_ready(port, process)
            # The first run imports the libraries of models.
            post_runs(port, 1)
            yield Served(port=port, pid=process.pid)
        finally:
            process.terminate()
            process.wait()


def post_runs(port: int, count: int, *, prefix: str | None = None) -> list[float]:
    """Post runs, with IDs that begin with `prefix`, and return the seconds of each request."""
    times: list[float] = []
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_S)) as connection:
        for number in range(count):
            began_s = time.monotonic()
            chosen = {} if prefix is None else {"execution_id": f"{prefix}{number}"}
            body = json.dumps({"input": {"number": number}, **chosen})
            headers = {"content-type": "application/json"}
            connection.request("POST", f"{API}/workflows/echo/executions", body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status not in {200, 201, 202}:
                raise RuntimeError(f"a post was answered with {answer.status}: {content[:200]!r}")
            times.append(time.monotonic() - began_s)
    return times


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


def _until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    ends_s = time.monotonic() + _READY_S
    while time.monotonic() < ends_s and process.poll() is None:
        with contextlib.suppress(OSError):
            if ask(port, "GET", "/readyz").status == 200:
                return
        time.sleep(_LOOK_S)
    raise RuntimeError("the server did not become ready")
