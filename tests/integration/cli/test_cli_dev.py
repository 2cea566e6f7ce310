"""`compozy dev` in its own process: valid changes are served, invalid ones are reported."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from compozy.server.ports import listen
from tests.conftest import RunCli
from tests.harness.projects import write_project

_LISTENING = re.compile(r"Server listening on :\d+ \((\S+)\)")
ECHO = {"tasks": [{"id": "pass", "with": {"a": "b"}}]}
TIMEOUT_S = 240


class Running:
    """A process and the lines that it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[str] = []
        self._seen = 0
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End the process, and wait until its server has ended, which holds the same pipe."""
        self.process.kill()
        self.process.wait()
        self._reader.join(TIMEOUT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def has_ended(self) -> bool:
        """Wait until every process that holds the pipe has ended."""
        self._reader.join(TIMEOUT_S)
        return not self._reader.is_alive()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def until(self, pattern: str) -> re.Match[str]:
        """Return the match in the next line with one; lines before it are passed over."""

        def find() -> re.Match[str] | None:
            while self._seen < len(self._lines):
                self._seen += 1
                if found := re.search(pattern, self._lines[self._seen - 1]):
                    return found
            return None

        with self._news:
            found: list[re.Match[str]] = []
            assert self._news.wait_for(lambda: bool((match := find()) and found.append(match) is None), TIMEOUT_S), (
                f"no line with {pattern!r}: {self._lines}"
            )
        return found[0]


@contextmanager
def _dev(folder: Path, *options: str) -> Generator[Running]:
    command = [sys.executable, "-m", "compozy", "dev", "--port", "0", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    running = Running(process)
    try:
        yield running
    finally:
        running.close()


def _write(folder: Path, name: str, text: str) -> None:
    (folder / f"workflows/{name}.yaml").write_text(text, encoding="utf-8")


def _workflows(url: str) -> list[str]:
    answer = httpx.get(f"{url}/api/v0/workflows", timeout=60).json()
    return [workflow["id"] for workflow in answer["workflows"]]


@pytest.mark.usefixtures("clean_environ")
def test_changed_files_are_served_when_they_are_valid(tmp_path: Path) -> None:
    write_project(tmp_path, {"echo": ECHO})
    with _dev(tmp_path) as dev:
        url = dev.until(_LISTENING.pattern)[1]
        run = httpx.post(f"{url}/api/v0/workflows/echo/executions/sync", json={}, timeout=60)
        assert run.status_code == 200

        _write(tmp_path, "second", "id: second\ntasks: 1\n")
        dev.until(r"workflows/second\.yaml:2:8: ")
        dev.until("The last valid version is still being served")
        assert _workflows(url) == ["echo"]

        _write(tmp_path, "second", json.dumps({"id": "second", **ECHO}))
        dev.until("Files changed; restarting the server")
        assert dev.until(_LISTENING.pattern)[1] == url
        assert _workflows(url) == ["echo", "second"]
        stored = httpx.get(f"{url}/api/v0/executions/workflows/{run.json()['execution_id']}", timeout=60)
        assert stored.json()["status"] == "SUCCESS"

        dev.process.send_signal(signal.SIGTERM)
        assert dev.process.wait(TIMEOUT_S) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, timeout=60)


@pytest.mark.usefixtures("clean_environ")
def test_a_project_that_is_invalid_at_first_is_served_when_it_is_repaired(tmp_path: Path) -> None:
    write_project(tmp_path, {"echo": ECHO})
    _write(tmp_path, "echo", "id: echo\n")
    with _dev(tmp_path) as dev:
        dev.until("Waiting for a change of the files")
        _write(tmp_path, "echo", json.dumps({"id": "echo", **ECHO}))
        url = dev.until(_LISTENING.pattern)[1]
        assert _workflows(url) == ["echo"]
        # The server ends with the command, even if that is killed.
        dev.process.kill()
        dev.until("^stopped")


@pytest.mark.timeout(60)
def test_an_address_that_cannot_be_used_ends_the_command(tmp_path: Path, cli: RunCli) -> None:
    write_project(tmp_path, {"echo": ECHO})
    with closing(listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = cli("dev", "--port", str(port))
    assert (ran.status, f"port {port} is in use" in ran.err, "Waiting" in ran.err) == (2, True, False)
    ran = cli("dev", "--host", "no.such.host.invalid", "--port", "0")
    assert (ran.status, "'no.such.host.invalid'" in ran.err, "Waiting" in ran.err) == (2, True, False)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("clean_environ")
def test_affected_tests_run_when_files_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    flow = {**ECHO, "output": {"a": "{{ .tasks.pass.output.a }}"}}
    write_project(tmp_path, {"echo": flow, "other": flow})
    (tmp_path / "tests").mkdir()
    for name in ("echo", "other"):
        cases = {"workflow": name, "tests": [{"name": name, "expect": {"output": {"a": "b"}}}]}
        (tmp_path / f"tests/{name}.test.yaml").write_text(json.dumps(cases))
    with _dev(tmp_path, "--test") as dev:
        dev.until("^2 tests passed")
        _write(tmp_path, "echo", json.dumps({"id": "echo", **flow}).replace('"b"', '"c"'))
        dev.until(r"^✗ \./tests/echo\.test\.yaml: echo")
        dev.until("^1 test failed, 0 passed")
        _write(tmp_path, "echo", json.dumps({"id": "echo", **flow}))
        dev.until(r"^✓ \./tests/echo\.test\.yaml: echo")
        dev.until("^1 test passed")
        dev.process.kill()
        assert dev.has_ended()


def test_tests_are_not_watched_if_ci_is_set(tmp_path: Path, cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    write_project(tmp_path, {"echo": ECHO})
    ran = cli("dev", "--test")
    assert ran.status == 2
    assert "`--test` does not work if CI is set" in ran.err
