"""`compozy chat`: each line is a message of a conversation, in this process and on a server."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCli
from tests.harness.processes import Commands
from tests.harness.projects import SLOW_MS, query, states, write_project
from tests.harness.servers import free_port, start_server

MEMORIES = [{"id": "chat", "default_key_template": "user:{{ .workflow.input.user }}"}]
INPUT = {
    "type": "object",
    "properties": {"user": {"type": "string"}, "message": {"type": "string"}},
    "required": ["user", "message"],
}
TALK = {
    "input": INPUT,
    "tasks": [
        {"id": "look", "prompt": "classify {{ .input.message }}"},
        {"id": "reply", "prompt": "{{ .input.message }}", "memory": ["chat"]},
    ],
    "output": {"text": "{{ .tasks.reply.output.text }}"},
}
RESPONSES: dict[str, Any] = {"look": {"text": "a label"}, "reply": {"text": "Word by word\x1b[31m.", "delay_ms": 200}}
PLAIN = {"tasks": [{"id": "look", "prompt": "x"}]}
_LIMIT_S = 120.0
_XOFF, _XON = "\x13", "\x11"
_COMMAND = [sys.executable, "-c", "from compozy.cli.main import main; main()"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose server port is free."""
    port = free_port()
    return write_project(
        tmp_path / "project",
        {"talk": TALK, "plain": PLAIN},
        responses=RESPONSES,
        memories=MEMORIES,
        server={"port": port},
    )


def piped(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with `text` as its standard input."""
    environ = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(
        [*_COMMAND, *arguments], cwd=folder, input=text, env=environ, capture_output=True, text=True, check=False
    )


class Terminal:
    """A command on a terminal: what it shows is read, and keys are pressed."""

    def __init__(self, folder: Path, *arguments: str, environ: Mapping[str, str] = {}) -> None:
        self._screen, terminal = pty.openpty()
        self._shown = ""
        self._process = subprocess.Popen(
            [*_COMMAND, *arguments],
            cwd=folder,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**os.environ, "TERM": "dumb", **environ},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(terminal)

    def until(self, pattern: str) -> str:
        """Return what is shown up to the end of a match, and forget it."""
        deadline = time.monotonic() + _LIMIT_S
        while (found := re.search(pattern, self._shown)) is None:
            assert time.monotonic() < deadline, self._shown
            with contextlib.suppress(OSError):
                self._shown += os.read(self._screen, 65536).decode().replace("\r\n", "\n")
        seen, self._shown = self._shown[: found.end()], self._shown[found.end() :]
        return seen

    def press(self, keys: str) -> None:
        """Write to the terminal."""
        os.write(self._screen, keys.encode())

    def interrupt_between_prompt_and_wait(self) -> None:
        """Send SIGINT while a prompt is written, which does not end before the terminal shows text again."""
        self.press(_XOFF)
        # The mode changes just before the prompt is written.
        while termios.tcgetattr(self._screen)[3] & termios.ICANON:
            time.sleep(0.01)
        os.kill(self._process.pid, signal.SIGINT)
        self.press(_XON)

    def end(self) -> int:
        """Return the exit status."""
        with contextlib.suppress(OSError):
            while os.read(self._screen, 65536):
                pass
        status = self._process.wait(_LIMIT_S)
        os.close(self._screen)
        return status


def _take_terminal() -> None:
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def lines_of(folder: Path, *arguments: str) -> Sequence[str]:
    """Return what a command prints."""
    return piped(folder, "", *arguments).stdout.splitlines()


def test_each_line_of_a_pipe_is_a_message(project: Path) -> None:
    done = piped(project, "hello\n\nagain\n", "chat", "talk", "--key", "ana")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Word by word\\x1b[31m.\n" * 2
    shown = lines_of(project, "memory", "show", "chat", "user:ana")
    assert [line.split(": ")[0:2] for line in shown[1:]] == [
        ["1 user", "hello"],
        ["2 assistant", "Word by word\\x1b[31m."],
        ["3 user", "again"],
        ["4 assistant", "Word by word\\x1b[31m."],
    ]
    labeled = piped(project, "", "workflow", "list", "--label", "chat=ana", "-f", "json")
    assert len(json.loads(labeled.stdout)["executions"]) == 2
    as_json = piped(project, "more\n", "chat", "talk", "--key", "ana", "-f", "json")
    document = json.loads(as_json.stdout)
    assert (document["message"], document["reply"], document["status"]) == (
        "more",
        "Word by word\x1b[31m.",
        "SUCCESS",
    )


@pytest.mark.usefixtures("port_of_file")
@pytest.mark.parametrize("is_remote", [False, True])
def test_the_text_arrives_on_a_terminal(commands: Commands, project: Path, *, is_remote: bool) -> None:
    if is_remote:
        start_server(commands, project)
    terminal = Terminal(project, "chat", "talk", "--key", "ana")
    terminal.until(r"Ctrl-D ends the chat\.\n")
    terminal.until("> ")
    terminal.press("hello\n")
    # It is shown once, although it is also the output of the run; only the task that remembers is shown.
    assert terminal.until("> ") == "hello\nWord by word\\x1b[31m.\n> "
    terminal.press("\x04")
    assert terminal.end() == 0
    assert query(project, "SELECT role FROM memory_messages ORDER BY seq") == [("user",), ("assistant",)]


@pytest.mark.usefixtures("port_of_file")
@pytest.mark.parametrize("is_remote", [False, True])
def test_ctrl_c_stops_an_answer_and_not_the_chat(commands: Commands, project: Path, *, is_remote: bool) -> None:
    slow = {"look": {"text": "a label"}, "reply": {"text": "never", "delay_ms": SLOW_MS}}
    port = json.loads((project / "compozy.yaml").read_text())["server"]
    write_project(project, {"talk": TALK}, responses=slow, memories=MEMORIES, server=port)
    if is_remote:
        start_server(commands, project)
    terminal = Terminal(project, "chat", "talk", "--key", "ana")
    terminal.until("> ")
    terminal.press("hello\n")
    while not any("RUNNING" in state for state in states(project)):
        time.sleep(0.1)
    terminal.press("\x03")
    assert "The answer was stopped; nothing of it is remembered." in terminal.until("\n> ")
    terminal.press("\x03")
    assert terminal.end() == 0
    assert query(project, "SELECT * FROM memory_messages") == []


def test_ctrl_c_is_noticed_while_the_prompt_is_written(project: Path) -> None:
    terminal = Terminal(project, "chat", "talk", "--key", "ana", "--quiet")
    terminal.interrupt_between_prompt_and_wait()
    assert terminal.end() == 0


def test_invalid_requests_are_explained(project: Path) -> None:
    assert "remembers no conversation" in piped(project, "x\n", "chat", "plain", "--key", "a").stderr
    assert "add --key, the value of 'user'" in piped(project, "x\n", "chat", "talk").stderr
    failed = piped(project, "x\n", "chat", "talk", "--key", "a", "--message", "text")
    assert (failed.returncode, "message" in failed.stderr) == (2, True)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_bytes_of_a_pipe_that_are_not_text_are_refused(project: Path, locale: str) -> None:
    command = [*_COMMAND, "chat", "talk", "--key", "a"]
    environ = {**os.environ, "LC_ALL": locale}
    done = subprocess.run(command, cwd=project, input=b"caf\xe9\n", env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"the text from stdin is not UTF-8" in done.stderr


def test_keys_with_half_a_character_do_not_become_the_same(cli: RunCli, tmp_path: Path) -> None:
    write_project(tmp_path, {"talk": TALK}, responses=RESPONSES, memories=MEMORIES)
    for half in ("\\ud800", "\\udc80"):
        done = cli("workflow", "run", "talk", "--input", f'{{"user": "{half}", "message": "x"}}')
        assert done.status == 1
        assert "must not contain half of a surrogate pair" in done.err
