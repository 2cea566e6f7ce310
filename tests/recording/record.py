"""Runs commands on separate terminals and records their output with its times."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

from tests.recording.screen import Chunk

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "examples/database/sqlite-quickstart"
COMMANDS = (
    "compozy workflow run hello-world",
    """compozy workflow run hello-world --input='{"name": "Ada"}'""",
    "compozy workflow list",
)
"""The recorded commands: the run of `make quickstart`, and the next steps of README.md."""
COLUMNS, ROWS = 96, 30
_LIMIT_S = 120


@dataclass(frozen=True, kw_only=True)
class Take:
    """One command and its output."""

    command: str
    chunks: tuple[Chunk, ...]


def record(folder: Path) -> list[Take]:
    """Run the commands one after the other in a copy of the project in the empty folder `folder`.

    Raises:
        RuntimeError: a command failed or did not end.
    """
    project = folder / PROJECT.name
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("data", ".env"))
    environ = {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
    }
    return [Take(command=command, chunks=tuple(_run(command, project, environ))) for command in COMMANDS]


def _run(command: str, project: Path, environ: dict[str, str]) -> list[Chunk]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    began_s = time.monotonic()
    shell = subprocess.Popen(
        ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environ,
        cwd=project,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        chunks = _read(ours, began_s)
        status = shell.wait(timeout=10)
    finally:
        if shell.poll() is None:
            shell.kill()
        os.close(ours)
    if status:
        raise RuntimeError(f"`{command}` ended with status {status}: {''.join(chunk.text for chunk in chunks)}")
    return chunks


def _read(terminal: int, began_s: float) -> list[Chunk]:
    chunks: list[Chunk] = []
    rest = b""
    while (at_s := time.monotonic() - began_s) < _LIMIT_S:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            # Linux reports an error when the other end of a terminal is closed.
            return chunks
        if not data:
            return chunks
        text = (rest + data).decode(errors="ignore")
        rest = (rest + data)[len(text.encode()) :]
        chunks.append(Chunk(at_s=at_s, text=text.replace("\r\n", "\n")))
    raise RuntimeError(f"the command did not end within {_LIMIT_S} s")
