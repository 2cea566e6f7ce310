"""A server that cannot shut down in time exits, and reports it in one line."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from compozy.server import shutdown
from tests.harness.processes import Commands, Conditions
from tests.harness.projects import DATABASE, write_project
from tests.harness.servers import start_server


def hurry() -> None:
    shutdown.DRAIN_S, shutdown.GRACE_S = 0.25, 0.25


def test_a_shutdown_that_overruns_is_one_line(commands: Commands, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", database={**DATABASE, "busy_timeout": "1h"})
    server = start_server(commands, project, conditions=Conditions(before=hurry))
    with closing(sqlite3.connect(project / "data/compozy.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        server.command.send(signal.SIGTERM)
        ended = server.command.wait()
    assert ended.status == 128 + signal.SIGTERM
    lines = [line for line in ended.err.splitlines() if line != "stopped"]
    assert lines == ["shutdown did not end within 0.5 s; unfinished runs continue at the next start"]

    again = start_server(commands, project)
    assert again.ask("GET", "/readyz").status == 200
