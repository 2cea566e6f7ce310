"""Answers the requests of one run from a recording, and records new answers."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, cast

from compozy.boundary import Boundary, OutsideRequest, RequestKind, TaskStub, within
from compozy.clock import by_clock
from compozy.durable.context import current_run
from compozy.errors import CompozyError, DatabaseError, RunError, ToolError, restore_error
from compozy.replay.cassette import Exchange, Recording, key_of
from compozy.replay.closest import explain_miss
from compozy.replay.config import Stubs, ToolStub
from compozy.replay.secrets import Secrets

# Parts of a recorded model answer that differ each time and change nothing.
_TRANSIENT = frozenset({"timestamp", "run_id", "conversation_id"})


class Mode(StrEnum):
    """How requests are answered."""

    REPLAY = "replay"
    RECORD = "record"
    REFRESH = "refresh"
    AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class PlayedCall:
    """A call of a tool that the run made."""

    task: str
    tool: str
    input: Mapping[str, Any]
    outcome: str


class Player(Boundary):
    """The boundary of one run in a test.

    A request that has no answer stops the run: it waits until the run is canceled, so that no `on_error` and no
    repetition hides it.

    Args:
        recording: what is recorded.
        mode: how requests are answered.
        stubs: tools and tasks that are replaced.
        secrets: masked in requests and answers.
        on_miss: called when a request has no answer.
        missing: why nothing of the kind of such a request is recorded, and what to do.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        mode: Mode,
        stubs: Stubs,
        secrets: Secrets,
        on_miss: Callable[[], None],
        missing: str = "the recording has none",
    ) -> None:
        self.calls: list[PlayedCall] = []
        self.misses: list[str] = []
        # By the order in which they were asked: answers of parallel requests come in any order.
        self._made: dict[int, Exchange] = {}
        self._turn = 0
        self.asked = 0
        self._recording = recording
        self._mode = mode
        self._secrets = secrets
        self._on_miss = on_miss
        self._missing = missing
        self._left: defaultdict[str, deque[Exchange]] = defaultdict(deque)
        if mode is not Mode.RECORD:
            for exchange in recording.exchanges:
                self._left[exchange.key].append(exchange)
        self._tool_stubs = {tool: deque(stubs) for tool, stubs in stubs.tools.items()}
        self._task_stubs = stubs.tasks
        self.unused_stubs = {*self._tool_stubs, *self._task_stubs}

    @property
    def made(self) -> list[Exchange]:
        """Return the exchanges of the run, in the order of their requests."""
        return [self._made[turn] for turn in sorted(self._made)]

    @property
    def unused(self) -> list[Exchange]:
        """Return the recorded answers that the run did not ask for."""
        # A tool that has changed is read from the project itself.
        return [exchange for left in self._left.values() for exchange in left if exchange.kind != "tools"]

    def stub_of(self, path: str, /) -> TaskStub | None:
        """Return the result of the task at `path` if the test replaces it."""
        stub = self._task_stubs.get(path)
        if stub is None:
            return None
        self.unused_stubs.discard(path)
        if stub.error is not None:
            return TaskStub(error=RunError(stub.error).to_json())
        return TaskStub(output=stub.output)

    async def exchange(self, request: OutsideRequest, perform: Callable[[], Awaitable[Any]], /) -> Any:
        """Return the answer to a request."""
        if request.kind == "tool":
            return await self._call_tool(request, perform)
        return await self._exchange(request, perform)

    async def _call_tool(self, request: OutsideRequest, perform: Callable[[], Awaitable[Any]]) -> Any:
        tool = str(request.content["tool"])
        stub = self._next_stub(tool)
        answer = await self._exchange(request, perform) if stub is None else _stubbed(stub)
        arguments = cast("Mapping[str, Any]", request.content["input"])
        self.calls.append(PlayedCall(task=request.path, tool=tool, input=arguments, outcome=answer["outcome"]))
        return answer

    def _next_stub(self, tool: str) -> ToolStub | None:
        stubs = self._tool_stubs.get(tool)
        if stubs is None:
            return None
        self.unused_stubs.discard(tool)
        return stubs.popleft() if len(stubs) > 1 else stubs[0]

    async def _exchange(self, request: OutsideRequest, perform: Callable[[], Awaitable[Any]]) -> Any:
        content: dict[str, Any] = self._secrets.mask(dict(request.content))
        turn, self._turn = self._turn, self._turn + 1
        left = self._left.get(key_of(request.kind, content))
        if left:
            return await self._play(turn, left.popleft())
        if request.kind == "tools" and self._mode is Mode.REPLAY:
            return await self._describe(request, content, perform)
        if self._mode is Mode.REPLAY:
            return await self._miss(request, content)
        return await self._record(turn, request, content, perform)

    async def _play(self, turn: int, exchange: Exchange) -> Any:
        self._made[turn] = exchange
        if exchange.pending:
            await self._never()
        if exchange.error is not None:
            raise restore_error(dict(exchange.error))
        return exchange.answer

    async def _describe(
        self, request: OutsideRequest, content: Mapping[str, Any], perform: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Read a tool from the project itself, where it has changed or was never recorded."""
        if _is_server(content):
            return await self._miss(request, content)
        try:
            return await _outside(perform)
        except ToolError as error:
            return await self._miss(request, content, f"\n  {error.message}")

    async def _record(
        self, turn: int, request: OutsideRequest, content: Mapping[str, Any], perform: Callable[[], Awaitable[Any]]
    ) -> Any:
        keep = partial(self._keep, turn, request.kind, request.path, content)
        try:
            answer = await _outside(perform)
        except asyncio.CancelledError:
            keep(pending=True)
            raise
        except DatabaseError:
            raise
        except CompozyError as error:
            if self._mode is Mode.AUTO and "variable" in error.details:
                # A key that is missing: there is only the recording.
                return await self._miss(request, content, f"\n  {error.message}")
            keep(error=self._secrets.mask(error.to_json()))
            raise
        return self._keep_answer(turn, request, content, answer)

    def _keep_answer(self, turn: int, request: OutsideRequest, content: Mapping[str, Any], answer: Any) -> Any:
        """Keep an answer, and return it as a replay will."""
        masked = _without_transient(self._secrets.mask(answer))
        self._keep(turn, request.kind, request.path, content, answer=masked)
        return masked

    async def _never(self) -> Any:
        """Wait until the run cancels the request, as a branch that waits: the virtual clock can advance."""
        while True:
            await current_run().wait()

    def _keep(self, turn: int, kind: RequestKind, path: str, request: Mapping[str, Any], **result: Any) -> None:
        self._made[turn] = Exchange(kind=kind, path=path, request=request, **result)
        self.asked += 1

    async def _miss(self, request: OutsideRequest, content: Mapping[str, Any], more: str = "") -> Any:
        recorded = self._recording.exchanges
        self.misses.append(explain_miss(request.kind, request.path, content, recorded, self._missing) + more)
        self._on_miss()
        await asyncio.Future()


async def _outside(perform: Callable[[], Awaitable[Any]]) -> Any:
    """Ask the outside, in real time."""
    with within(None), by_clock(None):
        return await perform()


def _is_server(content: Mapping[str, Any]) -> bool:
    return str(content["tools_of"]).startswith("mcp:")


def _without_transient(answer: Any) -> Any:
    """Return a recorded answer without what differs each time."""
    if not isinstance(answer, dict):
        return answer
    recorded = cast("dict[str, Any]", answer)
    if not isinstance(recorded.get("response"), dict):
        return recorded
    kept = _without(recorded["response"])
    kept["parts"] = [_without(part) for part in kept["parts"]]
    # Amounts of nothing, of which libraries add more with each version.
    kept["usage"] = {name: amount for name, amount in kept.get("usage", {}).items() if amount}
    return {**recorded, "response": kept}


def _without(value: dict[str, Any]) -> dict[str, Any]:
    return {name: below for name, below in value.items() if name not in _TRANSIENT}


def _stubbed(stub: ToolStub) -> dict[str, Any]:
    failed = stub.error is not None
    return {
        "outcome": "failed" if failed else "ok",
        "content": stub.error if failed else stub.result,
        "duration_ms": 0,
        "truncated": False,
    }
