"""Where in a run a model request stands, and who reads its answer while it is written."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

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


class AnswerText(Protocol):
    """Receives the text of an answer while the model writes it. Used on the event loop only."""

    def start(self) -> None:
        """Start the answer again: what was written so far is not part of it."""
        ...

    def write(self, text: str) -> None:
        """Add text as the model wrote it, including reasoning that is separated later."""
        ...


_position: ContextVar[CallPosition | None] = ContextVar("compozy_call_position", default=None)
_text: ContextVar[AnswerText | None] = ContextVar("compozy_answer_text", default=None)


@contextmanager
def at_position(position: CallPosition, text: AnswerText | None = None) -> Generator[None]:
    """Make `position` and `text` those that `current_position` and `current_text` return inside the block."""
    token, text_token = _position.set(position), _text.set(text)
    try:
        yield
    finally:
        _position.reset(token)
        _text.reset(text_token)


def current_text() -> AnswerText | None:
    """Return the receiver of the answer while it arrives, None if the answer is not read before its end."""
    return _text.get()


def current_position() -> CallPosition:
    """Return the position of the request that is being made.

    Raises:
        InternalError: no request is being made.
    """
    position = _position.get()
    if position is None:
        raise InternalError("a model was asked outside of a task; please report this")
    return position
