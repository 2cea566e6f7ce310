"""When a process of a server is started again, what it passes on, and logs of several processes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from compozy.errors import UsageError
from compozy.server.inherited import VARIABLE, Inherited, take_inherited
from compozy.server.serverprocess import REPORTS, Restarts, start_process

# Writes records of 10 kB to the stderr that other processes write to.
_WRITER = """
import sys, structlog
from compozy.log import configure_logging, share_log
configure_logging("info", as_json=True)
share_log(int(sys.argv[1]))
for number in range(200):
    structlog.get_logger().info("event", number=number, text="x" * 10_000)
"""
# A process that reports its readiness and its runs, and ends with its stdin.
_CHILD = """
import json, os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
files = json.loads(os.environ["COMPOZY_INHERITED"])
os.write(files["reports"], f"WATCHDOG=1\\nREADY={os.getpid()}\\n".encode())
sys.stdin.read()
os.write(files["reports"], b"RUNNING=3\\nLEFT=2\\n")
sys.exit(7)
"""


def test_pauses_grow_while_a_process_ends_early() -> None:
    restarts = Restarts()
    pauses: list[float] = []
    for _ in range(9):
        restarts.note_end(age_s=1, was_ready=True)
        pauses.append(restarts.pause_s)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert not restarts.has_failed
    restarts.note_end(age_s=60, was_ready=True)
    assert restarts.pause_s == 0.5


def test_a_process_that_is_never_ready_fails_at_the_fifth_time() -> None:
    restarts = Restarts()
    failed: list[bool] = []
    for was_ready in (False, False, True, False, False, False, False, False):
        restarts.note_end(age_s=1, was_ready=was_ready)
        failed.append(restarts.has_failed)
    assert failed == [False] * 7 + [True]


def test_a_database_that_is_away_is_waited_for() -> None:
    restarts = Restarts()
    for _ in range(20):
        restarts.note_end(age_s=1, was_ready=False, is_counted=False)
    assert not restarts.has_failed
    assert restarts.pause_s == 30


def _inherited(log: int) -> Inherited:
    return Inherited(socket=log, reports=-1, log=log, alive_s=0.1, ingests=True, metrics=None, began_s=0.0)


async def test_the_reports_of_a_process_are_read_to_their_end() -> None:
    with tempfile.TemporaryFile() as file:
        child, reports = await start_process([sys.executable, "-c", _CHILD], _inherited(file.fileno()), os.environ)
        ready = asyncio.Event()
        ended = asyncio.create_task(child.wait(reports, ready.set))
        await ready.wait()
        assert (child.is_ready, child.pid) == (True, child.process.pid)
        assert [child.is_hanging() for _ in range(REPORTS + 1)] == [False] * REPORTS + [True]
        child.stop()
        assert (await ended, child.running, child.left) == (7, 3, 2)


async def test_a_killed_process_has_the_code_of_its_signal() -> None:
    with tempfile.TemporaryFile() as file:
        child, reports = await start_process([sys.executable, "-c", _CHILD], _inherited(file.fileno()), os.environ)
        # Before its first report it may load for minutes.
        assert not any(child.is_hanging() for _ in range(REPORTS + 1))
        child.kill()
        assert await child.wait(reports, lambda: None) == 137


def test_the_variable_of_another_program_is_refused() -> None:
    assert take_inherited({}) is None
    for text in ("", "{}", "no JSON", '{"socket": 1}', "[1]"):
        environ = {VARIABLE: text}
        with pytest.raises(UsageError, match="compozy start --processes"):
            take_inherited(environ)
        assert environ == {}


def test_records_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as lock, (tmp_path / "log").open("wb") as log:
        number = lock.fileno()
        command = [sys.executable, "-c", _WRITER, str(number)]
        # A pipe, into which a record of this size is written in several pieces.
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log) as reader:
            writers = [subprocess.Popen(command, stderr=reader.stdin, pass_fds=[number]) for _ in range(3)]
            assert [writer.wait() for writer in writers] == [0, 0, 0]
    records = [json.loads(line) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]
    assert sorted((record["pid"], record["number"]) for record in records) == sorted(
        (writer.pid, number) for writer in writers for number in range(200)
    )
