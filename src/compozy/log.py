"""Logging to stderr, as text for people or JSON for machines; never to stdout."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


_ENGINE = "dbos"
# Some of the engine's messages contain whole tracebacks.
_TRACE = "Traceback (most recent call last):"


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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
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
