"""Starts and stops a separate `compozy start` process for one benchmark, on a free port."""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from compozy.client import Client
from compozy.clock import monotonic_s
from compozy.errors import ServerError
from compozy.installation import end_command, own_command

READY_S = 60.0
_LOOK_S = 0.02
_LISTENING = re.compile(r"^Server listening on :\d+ \((\S+)\)$", re.MULTILINE)


@contextmanager
def measured_server(config: Path, *, api_key: str | None) -> Generator[Client, None, None]:
    """Serve the project at `config` until the block ends; the server's log goes to stderr.

    Raises:
        ServerError: the server exited before it was ready, or was not ready after a minute.
    """
    with tempfile.TemporaryDirectory(prefix="compozy-bench-") as folder:
        printed = Path(folder) / "printed"
        process = None
        try:
            with printed.open("wb") as output, _undisturbed():
                process = _start(config, output)
            with closing(_until_ready(process, printed, config, api_key)) as client:
                yield client
        finally:
            if process is not None:
                end_command(process)


def _start(config: Path, output: BinaryIO) -> subprocess.Popen[bytes]:
    # In its own session: Ctrl-C on the terminal reaches only the benchmark, which then stops the server.
    return subprocess.Popen(
        [*own_command(), "start", "--config", str(config), "--port", "0", "--until-stdin-ends", "--quiet"],
        # Nothing writes to this pipe: the server stops when it closes, however the benchmark ends.
        stdin=subprocess.PIPE,
        stdout=output,
        start_new_session=True,
    )


@contextmanager
def _undisturbed() -> Generator[None, None, None]:
    """Defer signals until the block ends, so that no process is started whose ID is lost."""
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in held:
            signal.raise_signal(number)


def _until_ready(process: subprocess.Popen[bytes], printed: Path, config: Path, api_key: str | None) -> Client:
    deadline_s = monotonic_s() + READY_S
    client: Client | None = None
    while monotonic_s() < deadline_s:
        if process.poll() is not None:
            raise ServerError(
                f"the server of {str(config)!r} exited with code {process.returncode} before it was ready",
                hint=f"see its output above; try `compozy start --config {config}`",
            )
        if client is None:
            found = _LISTENING.search(printed.read_text(encoding="utf-8", errors="replace"))
            client = Client(url=found[1], api_key=api_key) if found else None
        elif _is_ready(client):
            return client
        time.sleep(_LOOK_S)
    raise ServerError(f"the server of {str(config)!r} was not ready after {READY_S:g} s")


def _is_ready(client: Client) -> bool:
    try:
        client.request("GET", "/readyz")
    except ServerError:
        return False
    return True
