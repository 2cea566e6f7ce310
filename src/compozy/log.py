"""Logging to stderr, as text for people or JSON for machines; never to stdout."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


_ENGINE = "dbos"
# Some of the engine's messages contain whole tracebacks.
_TRACE = "Traceback (most recent call last):"


# How long a record waits for one that another process is writing; a stopped process must not stop the others.
_TURNS = 2000
_TURN_S = 0.0005
# The file whose lock processes take to write to one stderr; empty for a process with its own.
_shared: list[int] = []


class WholeRecords(logging.StreamHandler[Any]):
    """Writes each record as a whole, also where several processes write to one stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        with _own_turn():
            super().emit(record)


class EngineBrevity(logging.Filter):
    """Shows each engine warning once and without its SQL; the engine repeats it for as long as a lock lasts."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to show `record`, and shorten it."""
        if record.name != _ENGINE or record.levelno >= logging.ERROR:
            return True
        line = record.getMessage().partition("\n")[0].removesuffix(_TRACE).rstrip(": ")
        if line in self._said:
            return False
        self._said.add(line)
        record.msg, record.args = line, ()
        return True


def configure_logging(level: str, *, as_json: bool) -> None:
    """Send log lines of at least `level` (debug, info, warn, error) to stderr, including those of libraries."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = WholeRecords(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _name_process,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    if level != "debug":
        handler.addFilter(EngineBrevity())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])


def share_log(lock_file: int) -> None:
    """Share stderr with other processes from now on: records name this process, and do not mix with those of others.

    Args:
        lock_file: descriptor of the file that all of them lock while they write.
    """
    _shared[:] = [lock_file]


def _name_process(_logger: Any, _method: str, record: Any) -> Any:
    """Add the process ID to a record if processes share a log."""
    return {**record, "pid": record.get("pid", os.getpid())} if _shared else record


@contextmanager
def _own_turn() -> Generator[None, None, None]:
    """Keep the other processes from writing until the block ends. The kernel frees the lock of one that dies."""
    is_locked = bool(_shared) and _lock(_shared[0])
    try:
        yield
    finally:
        if is_locked:
            fcntl.lockf(_shared[0], fcntl.LOCK_UN)


def _lock(file: int) -> bool:
    for _ in range(_TURNS):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(_TURN_S)
        else:
            return True
    return False
