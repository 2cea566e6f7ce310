"""Where in a run a model request stands; the scripted model finds its answer by it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from compozy.errors import InternalError


@dataclass(frozen=True, kw_only=True)
class CallPosition:
    """The place of one model request.

    It is derived from the definition and the journal, never from a counter of this process, so a replay gives the
    same position to the same request.

    Attributes:
        execution_id: the run.
        task_id: the task that asks, as it is written in the workflow.
        path: its place in the run; apart from `task_id` inside containers.
        run_index: ordinal of the request within the run, from 0.
        task_index: ordinal of the request within the task, from 0.
    """

    execution_id: str
    task_id: str
    path: str
    run_index: int
    task_index: int


_position: ContextVar[CallPosition | None] = ContextVar("compozy_call_position", default=None)


@contextmanager
def at_position(position: CallPosition) -> Generator[None]:
    """Make `position` the one that `current_position` returns inside the block."""
    token = _position.set(position)
    try:
        yield
    finally:
        _position.reset(token)


def current_position() -> CallPosition:
    """Return the position of the request that is being made.

    Raises:
        InternalError: no request is being made.
    """
    position = _position.get()
    if position is None:
        raise InternalError("a model was asked outside of a task; please report this")
    return position
