"""Tests do not find a server of the developer, who may run `compozy start` on the default port."""

from __future__ import annotations

import contextlib
import gc
import http.server
import threading
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

import pytest

from compozy.config.settings import ServerSettings
from compozy.project.address import DEFAULT_PORT
from tests.conftest import CLOSED_PORT, RunCli
from tests.harness.processes import Commands
from tests.harness.projects import write_project


class Answers(http.server.BaseHTTPRequestHandler):
    """Responds like the server of another project."""

    # Connections are kept open, as by Compozy's server.
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Respond to the first request of every command."""
        body = b'{"name": "theirs", "database": {"driver": "sqlite", "fingerprint": "0"}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Write nothing to stderr."""


@contextlib.contextmanager
def listening(port: int) -> Generator[str]:
    """Run a server of another project while the block lasts, and yield its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def on_the_default_port() -> Iterator[None]:
    """Run a server on the default port, or use the server of the developer that is already there."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(listening(DEFAULT_PORT))
        yield


@pytest.mark.usefixtures("on_the_default_port")
def test_a_server_on_the_default_port_is_not_found(cli: RunCli, commands: Commands, tmp_path: Path) -> None:
    """A command that finds it prints a note, and lists its executions in a folder without a project."""
    project = write_project(tmp_path / "project")
    (tmp_path / "empty").mkdir()
    for run in (cli, partial(commands.run, tmp_path / "empty")):
        alone = run("--config", str(project), "workflow", "run", "two")
        assert (alone.status, alone.err) == (0, "")
        nowhere = run("workflow", "list")
        assert (nowhere.status, f"and no server at http://127.0.0.1:{CLOSED_PORT}\n" in nowhere.err) == (2, True)


def test_the_connection_to_a_refused_server_is_closed(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path)
    with listening(0) as url:
        refused = cli("workflow", "list", "--server", url)
    assert (refused.status, "runs the project 'theirs'" in refused.err) == (2, True)
    # An open connection is a warning, and thereby an error.
    gc.collect()


def test_the_default_port() -> None:
    assert ServerSettings().port == DEFAULT_PORT == 8080
