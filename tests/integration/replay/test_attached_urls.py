"""Attachments by URL pass the boundary of a test: no server is asked in a replay."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.projects import write_project

TEXT = b"Opening hours: 9 to 5."
URL = "http://127.0.0.1:{port}/hours.txt?token=canary-4711"


@pytest.fixture
def asked() -> Iterator[tuple[int, list[str]]]:
    """The port of a server with a text, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(TEXT)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            """Print nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, paths
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[int, list[str]]) -> Path:
    """A project whose test attaches the text."""
    monkeypatch.delenv("CI", raising=False)
    task = {"id": "one", "prompt": "When?", "attachments": [{"url": "{{ .workflow.input.url }}"}]}
    allowed = {"attachments": {"private_hosts": ["127.0.0.1"]}}
    write_project(tmp_path, {"hours": {"tasks": [task]}}, runtime=allowed)
    write_tests(tmp_path, URL.format(port=asked[0]))
    return tmp_path


def write_tests(folder: Path, url: str) -> None:
    """Write the test of the workflow."""
    case = {"name": "reads", "input": {"url": url}, "expect": {"status": "SUCCESS"}}
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests/hours.test.yaml").write_text(json.dumps({"workflow": "hours", "tests": [case]}))


def test_a_replay_asks_no_server(cli: RunCli, project: Path, asked: tuple[int, list[str]]) -> None:
    port, paths = asked
    recorded = cli("test", "--mode", "record")
    assert recorded.status == 0, recorded.out
    assert len(paths) == 1
    cassette = (project / "tests/hours.cassette.yaml").read_text()
    assert "kind: attachment" in cassette
    assert "canary-4711" not in cassette
    assert TEXT.decode() not in cassette

    assert cli("test").status == 0
    assert len(paths) == 1

    write_tests(project, f"http://127.0.0.1:{port}/other.txt")
    changed = cli("test")
    assert changed.status == 1
    assert "URL" in changed.out
    assert "other.txt" in changed.out


def test_a_model_is_not_asked_with_a_recorded_hash(cli: RunCli, project: Path) -> None:
    """A changed prompt needs the content, which the recording does not have."""
    assert cli("test", "--mode", "record").status == 0
    file = project / "workflows/hours.yaml"
    file.write_text(file.read_text().replace("When?", "Until when?"))
    ran = cli("test", "--mode", "refresh")
    assert ran.status == 1
    assert "the recording has no content of an attachment" in ran.out


def test_a_test_is_written_from_a_run(cli: RunCli, project: Path, asked: tuple[int, list[str]]) -> None:
    given = json.dumps({"url": URL.format(port=asked[0])})
    assert cli("workflow", "run", "hours", "--id", "r", "--input", given).status == 0
    written = cli("test", "--from-run", "r", str(project / "tests/again.test.yaml"))
    assert written.status == 0, written.err
    assert cli("test", str(project / "tests/again.test.yaml")).status == 0
    assert len(asked[1]) == 1
