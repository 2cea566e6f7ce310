"""Shells on separate terminals: one that runs to its end, and one that runs alongside it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable

_LIMIT_S = 240
_END_S = 30


class LastingShell:
    """A second terminal with a command that runs alongside the next fences."""

    def __init__(self, command: str, environ: dict[str, str], folder: str) -> None:
        self._printed = bytearray()
        self._terminal, theirs = pty.openpty()
        # `exec`, so that Ctrl-C reaches the command and its status is that of the shell.
        self._shell = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            start_new_session=True,
            cwd=folder,
        )
        os.close(theirs)

    def read_until(self, seen: Callable[[str], bool]) -> str:
        """Return the output as soon as it is `seen`, or after the command ended, or after a time limit."""
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline:
            self._read(0.2)
            if seen(self._printed.decode(errors="replace")) or self._shell.poll() is not None:
                break
        return self._printed.decode(errors="replace")

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit status."""
        if self._shell.poll() is None:
            os.killpg(self._shell.pid, signal.SIGINT)
        deadline = time.monotonic() + _END_S
        while self._shell.poll() is None and time.monotonic() < deadline:
            self._read(0.2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        os.close(self._terminal)
        return self._shell.wait()

    def _read(self, wait_s: float) -> None:
        if select.select([self._terminal], [], [], wait_s)[0]:
            with contextlib.suppress(OSError):
                self._printed += os.read(self._terminal, 65536)


def run_in_terminal(script: str, environ: dict[str, str]) -> str:
    """Run a script in bash on a separate terminal and return its complete output."""
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environ,
        start_new_session=True,
        cwd=environ["HOME"],
    )
    os.close(theirs)
    try:
        return _read_all(ours, shell).decode(errors="replace")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        os.close(ours)


def _read_all(terminal: int, shell: subprocess.Popen[bytes]) -> bytes:
    data = bytearray()
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline:
        ended = shell.poll() is not None
        if select.select([terminal], [], [], 0 if ended else 0.2)[0]:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:
                # Linux reports an error when the other end of a terminal is closed.
                chunk = b""
            data += chunk
            if not chunk:
                break
        elif ended:
            break
    else:
        data += f"\nthe commands did not end within {_LIMIT_S} s".encode()
    return bytes(data)
