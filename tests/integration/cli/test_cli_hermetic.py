"""Tests find no server of the developer's, who may run `compozy start` on the default port."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from compozy.config.settings import ServerSettings
from compozy.project.address import DEFAULT_PORT
from tests.conftest import RunCli
from tests.harness.processes import Commands
from tests.harness.projects import write_project


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers like the server of another project, and notes that it was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        """Answer what every command asks first."""
        self.asked.append(self.path)
        body = b'{"name": "theirs", "database": {"driver": "sqlite", "fingerprint": "0"}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Write nothing to stderr."""


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """Return the requests that reach the default port. If a server of the developer listens there, it is that one."""
    found: list[str] = []
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            handler = type("Handler", (Answers,), {"asked": found})
            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", DEFAULT_PORT), handler))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        yield found


def test_a_server_on_the_default_port_is_not_found(
    cli: RunCli, commands: Commands, tmp_path: Path, asked: list[str]
) -> None:
    project = write_project(tmp_path / "project")
    (tmp_path / "empty").mkdir()
    for run in (cli, lambda *arguments: commands.run(tmp_path / "empty", *arguments)):
        alone = run("--config", str(project), "workflow", "run", "two")
        assert (alone.status, alone.err) == (0, "")
        nowhere = run("workflow", "list")
        assert (nowhere.status, "and no server at" in nowhere.err) == (2, True)
    assert asked == []


def test_the_default_port() -> None:
    assert ServerSettings().port == DEFAULT_PORT == 8080
