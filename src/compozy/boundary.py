"""Requests of a run to the world outside of it: models, tools, MCP servers, knowledge bases and attached URLs.

Each one passes `exchange`, inside the step that records it. Normally it is only performed; a test of a workflow puts a
boundary around its run, which answers from a recording.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol

RequestKind = Literal["model", "tool", "tools", "knowledge", "attachment"]


@dataclass(frozen=True, kw_only=True)
class OutsideRequest:
    """One request to the outside.

    Attributes:
        kind: `tools` lists the tools of a source, `attachment` reads a URL.
        path: path of the task, for people; equal requests of different tasks get equal answers.
        content: JSON that decides about the answer: no IDs and no times of this run.
        step: name of the step that records the answer.
    """

    kind: RequestKind
    path: str
    content: Mapping[str, Any]
    step: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskStub:
    """The result of a task that is not run: its output, or an error `{"code", "message"}`."""

    output: Any = None
    error: dict[str, Any] | None = None


class Boundary(Protocol):
    """Answers the requests of a run to the outside."""

    async def exchange(self, request: OutsideRequest, perform: Callable[[], Awaitable[Any]], /) -> Any:
        """Return the answer, JSON; `perform` asks the outside."""
        ...

    def stub_of(self, path: str, /) -> TaskStub | None:
        """Return the result of the task at `path` if it is not to be run, else None."""
        ...


_current: ContextVar[Boundary | None] = ContextVar("compozy_boundary", default=None)


@contextmanager
def within(boundary: Boundary | None) -> Generator[None]:
    """Let `boundary` answer the requests inside the block, and those of all tasks that start in it."""
    token = _current.set(boundary)
    try:
        yield
    finally:
        _current.reset(token)


async def exchange(
    describe: Callable[[], OutsideRequest | Awaitable[OutsideRequest]], perform: Callable[[], Awaitable[Any]]
) -> Any:
    """Return the answer to a request, JSON.

    Args:
        describe: returns the request; called only if there is a boundary.
        perform: asks the outside, and returns JSON.
    """
    boundary = _current.get()
    if boundary is None:
        return await perform()
    request = describe()
    return await boundary.exchange(request if isinstance(request, OutsideRequest) else await request, perform)


def is_within_boundary() -> bool:
    """Return whether a boundary answers the requests of this run."""
    return _current.get() is not None


def stub_of(path: str) -> TaskStub | None:
    """Return the result of the task at `path` if it is not to be run, else None."""
    boundary = _current.get()
    return None if boundary is None else boundary.stub_of(path)
