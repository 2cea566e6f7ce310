"""Spans of runs, tasks, model requests and tools, if traces are exported; otherwise nothing is done and nothing loaded.

Spans hold names, states and counts, never prompts, answers, inputs or outputs.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol

Value = str | int | float | bool | tuple[str, ...]

EXECUTION_ID = "compozy.execution.id"
WORKFLOW_ID = "compozy.workflow.id"
TASK_PATH = "compozy.task.path"
TASK_TYPE = "compozy.task.type"
STATUS = "compozy.status"
RESUMED = "compozy.execution.resumed"
INTERRUPTED = "compozy.interrupted"
ERROR = "error.type"

# Version 00 of https://www.w3.org/TR/trace-context/, without the two IDs that are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

# The `traceparent` of the request that is being answered. A server that exports no traces passes it on to its runs.
_caller: ContextVar[str | None] = ContextVar("compozy_caller", default=None)


class Span(Protocol):
    """One span, while it lasts."""

    def set(self, name: str, value: Value, /) -> None:
        """Set an attribute."""
        ...

    def rename(self, name: str, /) -> None:
        """Replace the name."""
        ...

    def fail(self, error: str, /) -> None:
        """Mark the span as failed, with the code of the error."""
        ...


class Tracing(Protocol):
    """Records spans and exports them."""

    def span(
        self, name: str, attributes: Mapping[str, Value], kind: str, parent: str | None, /
    ) -> AbstractContextManager[Span]:
        """Record a span inside the current one, or inside the one that `parent`, a traceparent, names."""
        ...

    def run_span(
        self, name: str, attributes: Mapping[str, Value], execution_id: str, parent: str | None, *, is_resumed: bool
    ) -> AbstractContextManager[Span]:
        """Record the span of a run in this process."""
        ...

    def traceparent(self) -> str | None:
        """Return the traceparent of the current span, None outside of spans."""
        ...


class _NoSpan:
    """The span of a process that exports none."""

    def set(self, name: str, value: Value, /) -> None:
        """Do nothing."""

    def rename(self, name: str, /) -> None:
        """Do nothing."""

    def fail(self, error: str, /) -> None:
        """Do nothing."""


NO_SPAN = _NoSpan()
_active: list[Tracing] = []


def start_tracing(tracing: Tracing) -> None:
    """Record spans with `tracing` from now on."""
    _active.append(tracing)


def stop_tracing(tracing: Tracing) -> None:
    """Undo `start_tracing`."""
    _active.remove(tracing)


@contextmanager
def span(
    name: str, attributes: Mapping[str, Value], *, kind: str = "internal", parent: str | None = None
) -> Generator[Span, None, None]:
    """Record a span until the block ends; an exception marks it as failed.

    Args:
        name: a text of few different values.
        attributes: its first attributes.
        kind: `internal`, `client` or `server`.
        parent: the traceparent of the span around it; by default the current span.
    """
    if not _active:
        yield NO_SPAN
        return
    with _active[-1].span(name, attributes, kind, parent) as recorded:
        yield recorded


@contextmanager
def run_span(
    name: str, attributes: Mapping[str, Value], *, execution_id: str, parent: str | None, is_resumed: bool
) -> Generator[Span, None, None]:
    """Record the span of a run in this process.

    All spans of a run are in one trace: the one of `parent`, or one whose ID is derived from the execution ID. The
    span of a run that is resumed links to the first one.
    """
    if not _active:
        yield NO_SPAN
        return
    with _active[-1].run_span(name, attributes, execution_id, parent, is_resumed=is_resumed) as recorded:
        yield recorded


def current_traceparent() -> str | None:
    """Return the traceparent of the current span; None if traces are not exported."""
    return _active[-1].traceparent() if _active else None


@contextmanager
def called_by(traceparent: str | None) -> Generator[None, None, None]:
    """Remember the traceparent of the caller while a request is answered."""
    token = _caller.set(traceparent)
    try:
        yield
    finally:
        _caller.reset(token)


def traceparent_for_runs() -> str | None:
    """Return the trace that runs started by the current request belong to: this server's span, or the caller's."""
    return current_traceparent() or _caller.get()


def current_trace_id() -> str | None:
    """Return the ID of the current trace, 32 hexadecimal digits; None if traces are not exported."""
    found = current_traceparent()
    return None if found is None else found.split("-")[1]


def read_traceparent(text: str | None) -> str | None:
    """Return a valid traceparent, None for anything else: as the specification says, an invalid one is ignored."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None
